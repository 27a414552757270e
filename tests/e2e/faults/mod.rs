//! Whatever breaks (the shadow, crossfade, the primary, a single write): when the cause is gone and the mirror has
//! settled, both sides hold the same rows and the books balance. Clients see no more of it than without crossfade.

mod crossfade;
mod load;
mod primary;
mod refusal;
mod shadow;
mod shadow_disk;

/// How often: in the long form under `make soak`, else in the short one.
fn times(short: u32, long: u32) -> u32 {
    if std::env::var_os("CROSSFADE_SOAK").is_some() { long } else { short }
}

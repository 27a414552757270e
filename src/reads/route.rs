//! What is decided of a read once: it holds for every read of the same text by the same role and settings, until a catalog
//! changes. Kept for texts that are asked again, which the extended protocol's are.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, sync};

use super::eligible::{Ineligible, may_go};
use super::statements::Text;
use super::twins::Twins;
use crate::catalog::Catalog;
use crate::effect::TableId;
use crate::session::{Profile, ReadRequest};

/// Routes kept.
const KEPT: usize = 1024;
/// Longer texts are decided each time.
const LONGEST: usize = 4 << 10;

/// Whether a read may go by what it is, and where.
#[derive(Debug)]
pub(super) struct Route {
    /// What it is prepared as.
    pub(super) text: Arc<Text>,
    /// The mirrored tables that it reads, each once.
    pub(super) tables: Vec<TableId>,
    /// Between the sides for which this was decided.
    pub(super) twins: Arc<Twins>,
    /// Of the text, its parameters' types and the catalogs: what decides the types of its result.
    pub(super) fingerprint: u64,
}

/// Those decided last.
#[derive(Debug)]
pub(super) struct Routes(Cache<Arc<Text>, Arc<Route>>);

/// What a text is found by.
struct Asked<'a> {
    sql: &'a [u8],
    parameter_types: &'a [u32],
    profile: &'a Arc<Profile>,
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Equal profiles are mostly one and the same; where they are not, the text is decided once more.
        (self.sql, self.parameter_types, Arc::as_ptr(self.profile)).hash(state);
    }
}

impl Equivalent<Arc<Text>> for Asked<'_> {
    fn equivalent(&self, text: &Arc<Text>) -> bool {
        self.sql == text.sql && self.parameter_types == text.parameter_types && *self.profile == text.profile
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { sql, parameter_types, profile } = self;
        Asked { sql, parameter_types, profile }.hash(state);
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self(sync::Cache::new(KEPT))
    }
}

impl Routes {
    /// The route of `request` between these catalogs, of which `twins` are.
    pub(super) fn find(
        &self,
        request: &ReadRequest,
        primary: &Catalog,
        shadow: &Catalog,
        twins: &Arc<Twins>,
    ) -> Result<Arc<Route>, Ineligible> {
        let profile = request.profile.as_ref().ok_or(Ineligible::SessionState)?;
        let Some(extended) = request.extended.as_ref().filter(|_| request.sql.len() <= LONGEST) else {
            return decide(request, profile, primary, shadow, twins);
        };
        let asked = Asked { sql: &request.sql, parameter_types: &extended.parameter_types, profile };
        if let Some(route) = self.0.get(&asked).filter(|route| Arc::ptr_eq(&route.twins, twins)) {
            return Ok(route);
        }
        let route = decide(request, profile, primary, shadow, twins)?;
        self.0.insert(Arc::clone(&route.text), Arc::clone(&route));
        Ok(route)
    }
}

fn decide(
    request: &ReadRequest,
    profile: &Arc<Profile>,
    primary: &Catalog,
    shadow: &Catalog,
    twins: &Arc<Twins>,
) -> Result<Arc<Route>, Ineligible> {
    let tables = may_go(request, primary, shadow)?;
    let parameter_types =
        request.extended.as_ref().map(|extended| extended.parameter_types.clone()).unwrap_or_default();
    let text = Text { sql: request.sql.clone(), parameter_types, profile: Arc::clone(profile) };
    let mut hasher = DefaultHasher::new();
    (&text.sql, &text.parameter_types, twins.generations()).hash(&mut hasher);
    let fingerprint = hasher.finish();
    Ok(Arc::new(Route { text: Arc::new(text), tables, twins: Arc::clone(twins), fingerprint }))
}

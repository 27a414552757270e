//! The token that changing requests bear.

use std::fmt;

use thiserror::Error;

use crate::config::{Admin, is_loopback, read_secret};

/// Why the admin address is not opened.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    /// Others could change things.
    #[error("admin.address {0} can be reached from other machines: set admin.token_file, or listen on 127.0.0.1")]
    Missing(String),
    /// The file is not usable.
    #[error("admin.token_file: {0}")]
    File(String),
}

/// Who may change something.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// Everyone who reaches the (loopback) address.
    NotAsked,
    /// Who bears it.
    Asked(String),
}

impl Token {
    /// As the settings say.
    pub fn of(admin: &Admin) -> Result<Self, TokenError> {
        match &admin.token_file {
            Some(file) => read_secret(file).map(Self::Asked).map_err(TokenError::File),
            None if is_loopback(&admin.address) => Ok(Self::NotAsked),
            None => Err(TokenError::Missing(admin.address.clone())),
        }
    }

    /// Whether a request with this `Authorization` header may change something.
    pub(super) fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Self::Asked(token) = self else { return true };
        let Some((scheme, borne)) = authorization.and_then(|header| header.split_at_checked(7)) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && equal_in_constant_time(borne.trim_ascii(), token.as_bytes())
    }
}

/// Takes as long for a near miss as for a far one; the length alone shows.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::NotAsked { "NotAsked" } else { "Asked" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_admitted() {
        let token = Token::Asked("s3cret".into());
        for (header, admitted) in [
            (Some("Bearer s3cret"), true),
            (Some("bearer s3cret"), true),
            (Some("Bearer s3cret2"), false),
            (Some("Bearer s3cre"), false),
            (Some("Bearer "), false),
            (Some("Basic s3cret"), false),
            (Some("s3cret"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(token.admits(header.map(str::as_bytes)), admitted, "{header:?}");
        }
        assert!(Token::NotAsked.admits(None));
        assert_eq!(format!("{token:?}"), "Asked");
    }

    #[test]
    fn an_address_open_to_others_asks_for_one() {
        let admin = |address: &str| Admin { address: address.into(), token_file: None };
        for own in ["127.0.0.1:1", "localhost:1", "[::1]:1"] {
            assert_eq!(Token::of(&admin(own)), Ok(Token::NotAsked), "{own}");
        }
        assert_eq!(
            Token::of(&admin("0.0.0.0:9632")).unwrap_err().to_string(),
            "admin.address 0.0.0.0:9632 can be reached from other machines: set admin.token_file, or listen on 127.0.0.1"
        );
    }
}

//! Why the shadow did not answer a read, and whether that speaks against it.

use std::io;

use super::frames::Malformed;

/// Why a read was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is gone, or what came over it is no answer.
    Lost,
    /// The shadow said no; the connection is as good as before.
    Refused([u8; 5]),
    /// Nothing came in time.
    Slow,
    /// The answer is too large to be held back, and nothing of it may go out before all of it is there.
    Large,
    /// A parameter or a column of the result is of a type whose oid means nothing to the client.
    UserType,
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

impl From<Malformed> for Trouble {
    fn from(_: Malformed) -> Self {
        Self::Lost
    }
}

impl Trouble {
    /// Whether it speaks against the shadow: errors in the data asked for, or in how it was asked for, are the same on the
    /// primary, whose names, columns and functions are known to be the same; and a connection that ends is the pool's affair.
    pub(super) fn is_the_shadows(self) -> bool {
        match self {
            Self::Slow => true,
            Self::Refused(sqlstate) => match &sqlstate {
                b"42501" => true,
                [b'2' | b'4', b'2', ..] | [b'5', b'7', b'P', ..] => false,
                _ => true,
            },
            Self::Lost | Self::Large | Self::UserType => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_asked_wrongly_speaks_against_nobody() {
        for (sqlstate, speaks) in [
            (b"42703", false), // no such column
            (b"42601", false),
            (b"22012", false),
            (b"57P01", false),
            (b"42501", true), // not allowed to read it there
            (b"53200", true),
            (b"XX000", true),
        ] {
            assert_eq!(Trouble::Refused(*sqlstate).is_the_shadows(), speaks, "{}", sqlstate.escape_ascii());
        }
    }
}

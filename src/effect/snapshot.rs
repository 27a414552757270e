//! `pg_snapshot`: which transactions a statement saw (PostgreSQL documentation, 9.27.4).

use std::str::FromStr;

use thiserror::Error;

use super::Xid;

/// The value of `pg_current_snapshot()` in the statement whose rows it judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    xmin: Xid,
    xmax: Xid,
    in_progress: Vec<Xid>,
}

impl Snapshot {
    /// Whether what `xid` wrote was visible, if it committed.
    pub fn sees(&self, xid: Xid) -> bool {
        xid < self.xmin || (xid < self.xmax && self.in_progress.binary_search(&xid).is_err())
    }
}

/// A text that is no `pg_snapshot`.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("expected a snapshot such as 10:20:10,14,15")]
pub struct MalformedSnapshot;

impl FromStr for Snapshot {
    type Err = MalformedSnapshot;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let xid = |digits: &str| digits.parse().map(Xid).map_err(|_| MalformedSnapshot);
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or(MalformedSnapshot);
        let (xmin, xmax, list) = (xid(part()?)?, xid(part()?)?, part()?);
        let mut in_progress =
            list.split(',').filter(|item| !item.is_empty()).map(xid).collect::<Result<Vec<_>, _>>()?;
        in_progress.sort_unstable();
        Ok(Self { xmin, xmax, in_progress })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_ended_before_it_and_nothing_else() {
        let snapshot: Snapshot = "10:20:10,14".parse().unwrap();
        for (xid, seen) in [(9, true), (10, false), (11, true), (14, false), (19, true), (20, false), (21, false)] {
            assert_eq!(snapshot.sees(Xid(xid)), seen, "{xid}");
        }
        assert!("5:5:".parse::<Snapshot>().unwrap().sees(Xid(4)));
        assert_eq!("5:x:".parse::<Snapshot>(), Err(MalformedSnapshot));
    }
}

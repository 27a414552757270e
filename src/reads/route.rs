//! What is decided of a read once: it holds for every read of the same text by the same role and settings, until a catalog
//! changes. Texts of the simple protocol bear their values and mostly come once: those that differ in values alone share
//! what they read.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, sync};
use rapidhash::fast::RapidHasher;

use super::eligible::{Ineligible, may_go, text_fits};
use super::statements::Text;
use super::twins::Twins;
use crate::catalog::Catalog;
use crate::effect::TableId;
use crate::session::{Profile, ReadRequest};
use crate::sql::Kind;

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
    pub(super) tables: Arc<[TableId]>,
    /// Between the sides for which this was decided.
    pub(super) twins: Arc<Twins>,
    /// Of the text, its parameters' types and the catalogs: what decides the types of its result.
    pub(super) fingerprint: u64,
}

/// Those decided last.
#[derive(Debug)]
pub(super) struct Routes {
    by_text: Cache<Arc<Text>, Arc<Route>>,
    by_kind: Cache<Alike, Common>,
}

/// What texts are found by that differ in values alone: they have one kind, and sessions that are alike one profile.
#[derive(Debug, Clone)]
struct Alike {
    kind: Arc<Kind>,
    profile: Arc<Profile>,
}

/// What they read.
#[derive(Debug, Clone)]
struct Common {
    tables: Arc<[TableId]>,
    twins: Arc<Twins>,
}

impl Hash for Alike {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (Arc::as_ptr(&self.kind), Arc::as_ptr(&self.profile)).hash(state);
    }
}

impl PartialEq for Alike {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kind, &other.kind) && Arc::ptr_eq(&self.profile, &other.profile)
    }
}

impl Eq for Alike {}

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
        Self { by_text: sync::Cache::new(KEPT), by_kind: sync::Cache::new(KEPT) }
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
            let tables = self.tables(request, profile, primary, shadow, twins)?;
            return Ok(Arc::new(Route::new(request, profile, tables, twins)));
        };
        let asked = Asked { sql: &request.sql, parameter_types: &extended.parameter_types, profile };
        if let Some(route) = self.by_text.get(&asked).filter(|route| Arc::ptr_eq(&route.twins, twins)) {
            return Ok(route);
        }
        let tables = may_go(request, primary, shadow)?.into();
        let route = Arc::new(Route::new(request, profile, tables, twins));
        self.by_text.insert(Arc::clone(&route.text), Arc::clone(&route));
        Ok(route)
    }

    /// The same as [`may_go`].
    fn tables(
        &self,
        request: &ReadRequest,
        profile: &Arc<Profile>,
        primary: &Catalog,
        shadow: &Catalog,
        twins: &Arc<Twins>,
    ) -> Result<Arc<[TableId]>, Ineligible> {
        let [statement] = &request.script.statements[..] else { return Err(Ineligible::NotOneStatement) };
        let alike = Alike { kind: Arc::clone(&statement.kind), profile: Arc::clone(profile) };
        if let Some(common) = self.by_kind.get(&alike).filter(|common| Arc::ptr_eq(&common.twins, twins)) {
            text_fits(request)?;
            return Ok(common.tables);
        }
        let tables: Arc<[TableId]> = may_go(request, primary, shadow)?.into();
        self.by_kind.insert(alike, Common { tables: Arc::clone(&tables), twins: Arc::clone(twins) });
        Ok(tables)
    }
}

impl Route {
    fn new(request: &ReadRequest, profile: &Arc<Profile>, tables: Arc<[TableId]>, twins: &Arc<Twins>) -> Self {
        let parameter_types =
            request.extended.as_ref().map(|extended| extended.parameter_types.clone()).unwrap_or_default();
        let text = Text { sql: request.sql.clone(), parameter_types, profile: Arc::clone(profile) };
        let mut hasher = RapidHasher::default_const();
        (&text.sql, &text.parameter_types, twins.generations()).hash(&mut hasher);
        let fingerprint = hasher.finish();
        Self { text: Arc::new(text), tables, twins: Arc::clone(twins), fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, profile, read, request};
    use super::*;

    /// A text of the same kind as that of `other`: they differ in values alone.
    fn alike(sql: &'static str, other: &ReadRequest) -> ReadRequest {
        ReadRequest { sql: sql.into(), ..other.clone() }
    }

    #[test]
    fn texts_that_differ_in_values_alone_share_what_they_read() {
        let (routes, catalog, twins) = (Routes::default(), testing::catalog(), Arc::new(Twins::default()));
        let find = |request: &ReadRequest, twins| routes.find(request, &catalog, &catalog, twins);
        let one = request("SELECT v FROM orders WHERE id = 1", Kind::Read(read(&["orders"])));
        let other = alike("SELECT v FROM orders WHERE id = 2", &one);
        let [first, second] = [&one, &other].map(|request| find(request, &twins).unwrap());
        assert_eq!(*first.tables, [testing::ORDERS]);
        assert!(Arc::ptr_eq(&first.tables, &second.tables));
        assert_ne!(first.fingerprint, second.fingerprint);
        assert_eq!(second.text.sql, other.sql);

        assert_eq!(find(&alike("SELECT '\0'", &one), &twins).unwrap_err(), Ineligible::TooLong);
        let of_another = ReadRequest { profile: Some(profile("app", &[])), ..one.clone() };
        assert!(!Arc::ptr_eq(&find(&of_another, &twins).unwrap().tables, &first.tables), "another role");
        let later = Arc::new(Twins::default());
        let again = find(&one, &later).unwrap();
        assert!(!Arc::ptr_eq(&again.tables, &first.tables), "a catalog was read anew");
        assert!(Arc::ptr_eq(&again.twins, &later));
    }

    #[test]
    fn what_may_not_go_is_asked_each_time() {
        let (routes, twins) = (Routes::default(), Arc::new(Twins::default()));
        let mut catalog = testing::catalog();
        let unknown = request("SELECT 1 FROM made_since", Kind::Read(read(&["made_since"])));
        let find = |catalog: &Catalog| routes.find(&unknown, catalog, catalog, &twins).map(|route| route.tables.len());
        assert_eq!(find(&catalog), Err(Ineligible::UnknownTable));
        let table = testing::table(TableId(20_003), "public", "made_since", &["id"]);
        testing::insert(&mut catalog, table);
        assert_eq!(find(&catalog), Ok(1));
    }
}

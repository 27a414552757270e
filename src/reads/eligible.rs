//! Whether a read may go to the shadow by what it is (rule 30): a pure decision from its facts and the catalogs of both
//! sides. Whether the shadow is fit for it just now is `fresh`.

use std::collections::BTreeMap;

use super::{messages, switch};
use crate::catalog::{Catalog, Resolved, Volatility};
use crate::effect::TableId;
use crate::session::{Extended, Profile, ReadRequest};
use crate::sql::{self, Call, FunctionName, Kind, Name, Read};

/// The first oid that a server gives to an object of its users.
pub(super) const FIRST_USER_OID: u32 = 16_384;

/// What the server itself would make of more is its own affair.
const MAX_BIND: usize = 1 << 20;

/// Why a drawn read stays on the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ineligible {
    /// None or several statements in one text.
    NotOneStatement,
    /// Something else than SELECT, VALUES, TABLE.
    NotARead,
    /// FOR UPDATE and the like.
    Locks,
    /// A function or operator not known to say the same on both sides.
    Function,
    /// It depends on the clock.
    Clock,
    /// A system catalog.
    SystemCatalog,
    /// ctid, xmin, tableoid …
    SystemColumn,
    /// A temporary table, or one that the catalog does not know.
    UnknownTable,
    /// A relation that is not mirrored.
    Unmirrored,
    /// A type of the user's: its oid differs between the databases, and drivers remember it.
    UserType,
    /// A text or parameters of unusual size.
    TooLong,
    /// The session has state that a connection to the shadow cannot share.
    SessionState,
    /// It reads no table.
    NoTable,
    /// The primary's tables may have changed and are not read again yet.
    CatalogNotCurrent,
    /// A name stands for something else on the shadow, or its table has another form there.
    DifferentTable,
    /// The role may read all of a table on one side and not on the other.
    Privileges,
    /// A table that may be wrong on the shadow.
    Suspect,
    /// A table that was not checked without a difference.
    Unverified,
    /// Writes to its tables, or the session's own, are not applied yet.
    Stale,
    /// The shadow lags more than `reads.max_lag`.
    Lag,
    /// An answer to the same query broke off, after a part of it had reached its client; or was too large to be held back in a
    /// transaction block.
    Suspended,
    /// The guard is open.
    Guard,
}

impl Ineligible {
    /// Its name in `/metrics`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::NotOneStatement => "not_one_statement",
            Self::NotARead => "not_a_read",
            Self::Locks => "locks",
            Self::Function => "function",
            Self::Clock => "clock",
            Self::SystemCatalog => "system_catalog",
            Self::SystemColumn => "system_column",
            Self::UnknownTable => "unknown_table",
            Self::Unmirrored => "unmirrored",
            Self::UserType => "user_type",
            Self::TooLong => "too_long",
            Self::SessionState => "session_state",
            Self::NoTable => "no_table",
            Self::CatalogNotCurrent => "catalog_not_current",
            Self::DifferentTable => "different_table",
            Self::Privileges => "privileges",
            Self::Suspect => "suspect",
            Self::Unverified => "unverified",
            Self::Stale => "stale",
            Self::Lag => "lag",
            Self::Suspended => "suspended",
            Self::Guard => "guard",
        }
    }
}

/// The mirrored tables that the read reads, each once, views expanded and partitions as their root. Whatever its parameters
/// are: see [`parameters_fit`].
pub(super) fn may_go(request: &ReadRequest, primary: &Catalog, shadow: &Catalog) -> Result<Vec<TableId>, Ineligible> {
    let [statement] = request.script.statements.as_slice() else { return Err(Ineligible::NotOneStatement) };
    let Kind::Read(read) = &*statement.kind else { return Err(Ineligible::NotARead) };
    let profile = request.profile.as_ref().filter(|profile| switch::is_shareable(profile));
    let profile = profile.ok_or(Ineligible::SessionState)?;
    text_fits(request)?;
    syntax_allows(read)?;
    for catalog in [primary, shadow] {
        read.functions.iter().try_for_each(|function| function_allows(function, catalog))?;
    }
    tables(read, profile, primary, shadow)
}

/// Whether the text lets it go, whatever it asks for.
pub(super) fn text_fits(request: &ReadRequest) -> Result<(), Ineligible> {
    if request.sql.contains(&0) || request.sql.len() > MAX_BIND {
        return Err(Ineligible::TooLong);
    }
    let Some(extended) = &request.extended else { return Ok(()) };
    if extended.parameter_types.len() > usize::from(u16::MAX) {
        return Err(Ineligible::TooLong);
    }
    if extended.parameter_types.iter().any(|&oid| oid >= FIRST_USER_OID) {
        return Err(Ineligible::UserType);
    }
    Ok(())
}

/// Whether its parameters let it go, which are others each time.
pub(super) fn parameters_fit(request: &ReadRequest) -> Result<(), Ineligible> {
    let Some(extended) = &request.extended else { return Ok(()) };
    if extended.bind.len() > MAX_BIND {
        return Err(Ineligible::TooLong);
    }
    if asks_clock(extended) {
        return Err(Ineligible::Clock);
    }
    Ok(())
}

/// Whether a parameter is a string like `now` that may be read as a date or time.
fn asks_clock(extended: &Extended) -> bool {
    const TEXTS: [u32; 3] = [25, 1042, 1043];
    let may_be_time = |at: usize| extended.parameter_types.get(at).is_none_or(|oid| !TEXTS.contains(oid));
    let texts = messages::text_parameters(&extended.bind);
    // What cannot be taken apart is refused by whichever server it is sent to.
    texts
        .unwrap_or_default()
        .into_iter()
        .any(|(at, value)| may_be_time(at) && std::str::from_utf8(value).is_ok_and(sql::asks_clock))
}

fn syntax_allows(read: &Read) -> Result<(), Ineligible> {
    if read.locks {
        return Err(Ineligible::Locks);
    }
    if read.system_columns {
        return Err(Ineligible::SystemColumn);
    }
    if read.user_types {
        return Err(Ineligible::UserType);
    }
    Ok(())
}

fn function_allows(function: &FunctionName, catalog: &Catalog) -> Result<(), Ineligible> {
    let volatility = match function.call {
        Call::Name | Call::Operator => catalog.volatility(function.schema.as_deref(), &function.name),
        Call::Attribute => catalog.attribute_volatility(&function.name),
    };
    match volatility {
        Volatility::Safe => Ok(()),
        Volatility::Clock => Err(Ineligible::Clock),
        Volatility::Local | Volatility::Stable | Volatility::Opaque => Err(Ineligible::Function),
    }
}

fn tables(read: &Read, profile: &Profile, primary: &Catalog, shadow: &Catalog) -> Result<Vec<TableId>, Ineligible> {
    let path = search_path(profile);
    let mut tables = Vec::new();
    for name in &read.tables {
        let behind = behind(name, &path, primary)?;
        let there = self::behind(name, &path, shadow).map_err(|_| Ineligible::DifferentTable)?;
        is_the_same((primary, &behind), (shadow, &there), &profile.role)?;
        tables.extend(behind);
    }
    tables.sort_unstable();
    tables.dedup();
    if tables.is_empty() { Err(Ineligible::NoTable) } else { Ok(tables) }
}

/// What is read where `name` is named: a table and those that inherit from it, or the tables behind a view.
fn behind(name: &Name, path: &[String], catalog: &Catalog) -> Result<Vec<TableId>, Ineligible> {
    match catalog.resolve(name.schema.as_deref(), &name.name, path) {
        Resolved::Table(table) if table.strays => Err(Ineligible::Unmirrored),
        Resolved::Table(table) => Ok([&table.shape.table].into_iter().chain(&table.descendants).copied().collect()),
        Resolved::View(Some(behind)) => Ok(behind),
        Resolved::View(None) => Err(Ineligible::Function),
        Resolved::Unmirrored(_) if is_system(name) => Err(Ineligible::SystemCatalog),
        Resolved::Unmirrored(_) => Err(Ineligible::Unmirrored),
        Resolved::Unknown => Err(Ineligible::UnknownTable),
    }
}

/// Whether these are namesakes, table by table, and `role` may read as much of each.
fn is_the_same(
    (primary, here): (&Catalog, &[TableId]),
    (shadow, there): (&Catalog, &[TableId]),
    role: &str,
) -> Result<(), Ineligible> {
    let (here, there) = (by_name(primary, here), by_name(shadow, there));
    if !here.keys().eq(there.keys()) {
        return Err(Ineligible::DifferentTable);
    }
    let is_as_readable =
        |(one, other): (&TableId, &TableId)| primary.may_read_all(role, *one) == shadow.may_read_all(role, *other);
    if here.values().zip(there.values()).all(is_as_readable) { Ok(()) } else { Err(Ineligible::Privileges) }
}

fn by_name<'a>(catalog: &'a Catalog, tables: &[TableId]) -> BTreeMap<(&'a str, &'a str), TableId> {
    let known = tables.iter().filter_map(|table| Some((catalog.tables.get(table)?, *table)));
    known.map(|(table, id)| ((table.shape.schema.as_str(), table.shape.name.as_str()), id)).collect()
}

fn is_system(name: &Name) -> bool {
    match name.schema.as_deref() {
        Some(schema) => matches!(schema, "pg_catalog" | "information_schema" | "pg_toast"),
        None => name.name.starts_with("pg_"),
    }
}

/// Schema names as `search_path` lists them, unquoted and case-folded, `"$user"` as the role.
fn search_path(profile: &Profile) -> Vec<String> {
    let text = profile.settings.get("search_path").map_or("\"$user\", public", String::as_str);
    let mut schemas = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let schema;
        (schema, rest) = first_name(rest);
        schemas.push(if schema == "$user" { profile.role.clone() } else { schema });
        rest = rest.trim_start().trim_start_matches(',').trim_start();
    }
    schemas
}

/// The name at the front of a list, and what is behind it.
fn first_name(list: &str) -> (String, &str) {
    let Some(quoted) = list.strip_prefix('"') else {
        let (name, rest) = list.split_at(list.find(',').unwrap_or(list.len()));
        return (name.trim_end().to_lowercase(), rest);
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let Some((part, behind)) = rest.split_once('"') else { return (name + rest, "") };
        name.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return (name, behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, read, request};
    use super::*;
    use crate::catalog::Table;
    use crate::session::{Described, Extended};
    use crate::sql::{Script, Statement};
    use std::sync::Arc;

    fn decide(facts: Read) -> Result<Vec<TableId>, Ineligible> {
        go(&request("SELECT", Kind::Read(facts)))
    }

    /// With the same on both sides.
    fn go(request: &ReadRequest) -> Result<Vec<TableId>, Ineligible> {
        parameters_fit(request)?;
        may_go(request, &testing::catalog(), &testing::catalog())
    }

    fn calling(name: &str) -> Read {
        let function = FunctionName { schema: None, name: name.to_owned(), call: Call::Name };
        Read { functions: vec![function], ..read(&["orders"]) }
    }

    #[test]
    fn a_plain_read_of_mirrored_tables_may_go() {
        assert_eq!(decide(read(&["orders", "items", "orders"])), Ok(vec![testing::ORDERS, testing::ITEMS]));
        assert_eq!(decide(read(&["shop.items"])), Ok(vec![testing::ITEMS]));
        assert_eq!(decide(calling("lower")), Ok(vec![testing::ORDERS]));
    }

    #[test]
    fn rule_29_views_stand_for_the_tables_behind_them() {
        assert_eq!(decide(read(&["open_orders"])), Ok(vec![testing::ORDERS, testing::ITEMS]));
        assert_eq!(decide(read(&["odd_orders"])), Err(Ineligible::Function));
    }

    #[test]
    fn rule_30_functions_that_answer_for_their_server_keep_a_read() {
        for name in ["pg_backend_pid", "version", "nextval", "random", "no_such_function"] {
            assert_eq!(decide(calling(name)), Err(Ineligible::Function), "{name}");
        }
        assert_eq!(decide(calling("now")), Err(Ineligible::Clock));
    }

    #[test]
    fn rule_30_a_read_of_no_table_stays() {
        assert_eq!(decide(read(&[])), Err(Ineligible::NoTable));
    }

    #[test]
    fn tables_that_are_not_mirrored_or_not_known_keep_a_read() {
        assert_eq!(decide(read(&["orders", "excluded"])), Err(Ineligible::Unmirrored));
        assert_eq!(decide(read(&["orders", "made_since"])), Err(Ineligible::UnknownTable));
        assert_eq!(decide(read(&["pg_catalog.pg_class"])), Err(Ineligible::SystemCatalog));
    }

    #[test]
    fn what_stands_in_the_statement_keeps_it() {
        assert_eq!(decide(Read { locks: true, ..read(&["orders"]) }), Err(Ineligible::Locks));
        assert_eq!(decide(Read { system_columns: true, ..read(&["orders"]) }), Err(Ineligible::SystemColumn));
        assert_eq!(decide(Read { user_types: true, ..read(&["orders"]) }), Err(Ineligible::UserType));
    }

    #[test]
    fn only_one_statement_that_reads_may_go() {
        let begin = request("BEGIN", Kind::Begin { access: sql::Access::ReadOnly, repeatable: false });
        assert_eq!(go(&begin), Err(Ineligible::NotARead));
        let mut two = request("SELECT; SELECT", Kind::Read(read(&["orders"])));
        let one = Statement { span: 0..6, kind: Arc::new(Kind::Read(read(&["orders"]))) };
        two.script = Arc::new(Script { statements: vec![one.clone(), one] });
        assert_eq!(go(&two), Err(Ineligible::NotOneStatement));
    }

    #[test]
    fn a_session_with_state_of_its_own_stays() {
        let mut request = request("SELECT", Kind::Read(read(&["orders"])));
        request.profile = None;
        assert_eq!(go(&request), Err(Ineligible::SessionState));
        request.profile = Some(testing::profile("app", &[("default_transaction_isolation", "serializable")]));
        assert_eq!(go(&request), Err(Ineligible::SessionState));
    }

    #[test]
    fn parameters_of_user_types_or_of_unusual_size_keep_a_read() {
        let mut request = request("SELECT", Kind::Read(read(&["orders"])));
        let mut extended = Extended {
            parameter_types: vec![23, FIRST_USER_OID],
            parse: true,
            describe_statement: false,
            bind: vec![0; 6].into(),
            described: Described::Portal,
            limit: 0,
        };
        request.extended = Some(extended.clone());
        assert_eq!(go(&request), Err(Ineligible::UserType));
        extended.parameter_types = vec![23];
        request.extended = Some(extended.clone());
        assert_eq!(go(&request), Ok(vec![testing::ORDERS]));
        extended.bind = vec![0; MAX_BIND + 1].into();
        request.extended = Some(extended);
        assert_eq!(go(&request), Err(Ineligible::TooLong));
    }

    #[test]
    fn parameters_that_ask_the_clock_keep_a_read() {
        let asking = |format: u8, value: &[u8], oid: u32| {
            let bind = [&[0, 1, 0, format, 0, 1][..], &(value.len() as u32).to_be_bytes(), value, &[0, 0]].concat();
            let mut request = testing::extended("SELECT", &[oid], &bind);
            let kind = Kind::Read(read(&["orders"]));
            request.script = Arc::new(Script { statements: vec![Statement { span: 0..6, kind: Arc::new(kind) }] });
            go(&request)
        };
        for oid in [0, 1082, 1184] {
            assert_eq!(asking(0, b"Tomorrow", oid), Err(Ineligible::Clock));
        }
        assert_eq!(asking(0, b"2026-11-25", 1184), Ok(vec![testing::ORDERS]));
        assert_eq!(asking(0, b"today", 25), Ok(vec![testing::ORDERS]), "a text is only itself");
        assert_eq!(asking(1, b"now", 0), Ok(vec![testing::ORDERS]), "binary values ask nothing");
    }

    #[test]
    fn rule_29_a_table_stands_for_those_that_inherit_from_it() {
        let mut catalog = testing::catalog();
        let mut orders = Table::clone(&catalog.tables[&testing::ORDERS]);
        orders.descendants = vec![testing::ITEMS];
        testing::replace(&mut catalog, orders.clone());
        let asked = request("SELECT", Kind::Read(read(&["orders"])));
        assert_eq!(may_go(&asked, &catalog, &catalog), Ok(vec![testing::ORDERS, testing::ITEMS]));
        orders.strays = true;
        testing::replace(&mut catalog, orders);
        assert_eq!(may_go(&asked, &catalog, &catalog), Err(Ineligible::Unmirrored));
    }

    #[test]
    fn a_name_must_stand_for_the_same_on_the_shadow() {
        let mut shadow = testing::catalog();
        // Found first there, and not on the primary.
        let nearer = Arc::new(Table::clone(&testing::table(TableId(7), "app", "orders", &["id", "v"])));
        shadow.tables.insert(TableId(7), Arc::clone(&nearer));
        shadow.names.get_mut("orders").unwrap().push(("app".to_owned(), Resolved::Table(nearer)));
        let mut asked = request("SELECT", Kind::Read(read(&["orders"])));
        assert_eq!(may_go(&asked, &testing::catalog(), &shadow), Ok(vec![testing::ORDERS]));
        asked.profile = Some(testing::profile("app", &[]));
        assert_eq!(may_go(&asked, &testing::catalog(), &shadow), Err(Ineligible::DifferentTable));
        shadow.names.remove("open_orders");
        let view = request("SELECT", Kind::Read(read(&["open_orders"])));
        assert_eq!(may_go(&view, &testing::catalog(), &shadow), Err(Ineligible::DifferentTable));
        shadow.functions.clear();
        let calling = request("SELECT", Kind::Read(calling("lower")));
        assert_eq!(may_go(&calling, &testing::catalog(), &shadow), Err(Ineligible::Function));
    }

    #[test]
    fn a_role_sees_no_more_on_the_shadow_than_on_the_primary() {
        let allowing = |tables: &[TableId]| {
            let mut catalog = testing::catalog();
            catalog.unreadable.insert("postgres".to_owned(), tables.iter().copied().collect());
            catalog
        };
        let asked = request("SELECT", Kind::Read(read(&["orders"])));
        let (all, not_orders) = (allowing(&[]), allowing(&[testing::ORDERS]));
        assert_eq!(may_go(&asked, &all, &all), Ok(vec![testing::ORDERS]));
        assert_eq!(may_go(&asked, &not_orders, &not_orders), Ok(vec![testing::ORDERS]), "the shadow refuses it, too");
        assert_eq!(may_go(&asked, &not_orders, &all), Err(Ineligible::Privileges));
        assert_eq!(may_go(&asked, &all, &not_orders), Err(Ineligible::Privileges));
    }

    #[test]
    fn the_search_path_is_read_as_the_server_reads_it() {
        let path = |text| search_path(&testing::profile("app", &[("search_path", text)]));
        assert_eq!(path(r#"a, B , "C ""d"", e","#), ["a", "b", r#"C "d", e"#]);
        assert_eq!(path(r#""$user",$user"#), ["app", "app"]);
        assert_eq!(path(r#""unclosed"#), ["unclosed"]);
        assert_eq!(path(""), [""; 0]);
        assert_eq!(search_path(&testing::profile("app", &[])), ["app", "public"]);
        let elsewhere = testing::profile("app", &[("search_path", "shop")]);
        let mut request = request("SELECT", Kind::Read(read(&["orders"])));
        request.profile = Some(elsewhere);
        assert_eq!(go(&request), Err(Ineligible::UnknownTable));
    }
}

//! SET, RESET and the modes of a transaction.

use pg_raw_parse::nodes::{DefElem, TransactionStmt, VariableSetKind, VariableSetStmt};
use pg_raw_parse::{ConstValue, Node};

use super::{Access, Kind, Setting, SettingValue};

/// What `set` changes.
pub(super) fn setting(set: &VariableSetStmt) -> Setting {
    let named = set.name().unwrap_or_default().to_ascii_lowercase();
    let (name, value) = match set.kind {
        VariableSetKind::VAR_SET_VALUE => (named, values(set)),
        VariableSetKind::VAR_SET_DEFAULT | VariableSetKind::VAR_RESET => (named, SettingValue::Default),
        VariableSetKind::VAR_RESET_ALL => ("all".to_owned(), SettingValue::Default),
        VariableSetKind::VAR_SET_MULTI => match named.as_str() {
            "transaction" => (named, modes(set)),
            "session characteristics" => ("session_characteristics".to_owned(), modes(set)),
            _ => ("transaction".to_owned(), SettingValue::Other),
        },
        _ => (named, SettingValue::Other),
    };
    Setting { name, local: set.is_local, value }
}

fn values(set: &VariableSetStmt) -> SettingValue {
    let values: Option<Vec<String>> = set.args().iter().map(constant).collect();
    values.map_or(SettingValue::Other, SettingValue::Values)
}

fn constant(node: Node<'_>) -> Option<String> {
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::Integer(value) => Some(value.to_string()),
            ConstValue::Boolean(value) => Some(value.to_string()),
            ConstValue::Float(value) | ConstValue::String(value) => Some(value.to_owned()),
            _ => None,
        },
        Node::String(string) => string.sval().map(str::to_owned),
        _ => None,
    }
}

/// `setting=value` for each transaction mode.
fn modes(set: &VariableSetStmt) -> SettingValue {
    let modes: Option<Vec<String>> = set
        .args()
        .iter()
        .map(|node| match node {
            Node::DefElem(mode) => Some(format!("{}={}", mode.defname()?, constant(mode.arg())?)),
            _ => None,
        })
        .collect();
    modes.map_or(SettingValue::Other, SettingValue::Values)
}

/// BEGIN with its modes.
pub(super) fn begin(begin: &TransactionStmt) -> Kind {
    let mode = |name: &str| {
        let mut modes = begin.options().iter().filter_map(|node| <&DefElem>::try_from(node).ok());
        modes.rfind(|mode| mode.defname() == Some(name)).and_then(|mode| constant(mode.arg()))
    };
    let isolation = mode("transaction_isolation");
    Kind::Begin {
        access: match mode("transaction_read_only").as_deref() {
            None => Access::Default,
            Some("1") => Access::ReadOnly,
            Some(_) => Access::ReadWrite,
        },
        repeatable: isolation.is_some_and(|level| matches!(level.as_str(), "repeatable read" | "serializable")),
    }
}

/// Whether an option that may stand without a value is on, of several the last.
pub(super) fn is_on<'a>(options: impl IntoIterator<Item = &'a DefElem>, name: &str) -> bool {
    let named = options.into_iter().filter(|option| option.defname() == Some(name));
    named.last().is_some_and(|option| match constant_of_option(option) {
        None => true,
        Some(value) => !matches!(value.to_ascii_lowercase().as_str(), "off" | "false" | "0" | "no"),
    })
}

fn constant_of_option(option: &DefElem) -> Option<String> {
    match option.arg() {
        Node::Integer(value) => Some(value.ival.to_string()),
        Node::Boolean(value) => Some(value.boolval.to_string()),
        other => constant(other),
    }
}

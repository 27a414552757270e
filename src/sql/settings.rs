//! SET, RESET and the modes of a transaction.

use pg_raw_parse::nodes::{
    DefElem, FuncCall, SelectStmt, SetOperation, TransactionStmt, VariableSetKind, VariableSetStmt,
};
use pg_raw_parse::{ConstValue, Node};

use super::{Access, Kind, Setting, SettingValue, names};
use names::TypeClass;

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

/// What a SELECT sets that only calls `set_config`, each for certain once, and looks settings up.
pub(super) fn set_by_function(select: &SelectStmt) -> Vec<Setting> {
    let is_one_row = select.from_clause().is_empty()
        && select.values_lists().is_empty()
        && select.group_clause().is_empty()
        && select.distinct_clause().is_empty()
        && select.sort_clause().is_empty()
        && select.window_clause().is_empty()
        && select.op == SetOperation::SETOP_NONE
        && select.with_clause().is_none()
        && [select.where_clause(), select.having_clause(), select.limit_count(), select.limit_offset()]
            .iter()
            .all(|clause| matches!(clause, Node::None));
    let settings = || select.target_list().iter().map(|target| set_by(target.val())).collect::<Option<Vec<_>>>();
    is_one_row.then(settings).flatten().unwrap_or_default().concat()
}

/// None or one; `None`: it does something else.
fn set_by(target: Node<'_>) -> Option<Vec<Setting>> {
    let Node::FuncCall(call) = target else { return None };
    let plain = matches!(call.agg_filter(), Node::None) && call.over().is_none();
    match names::qualified(call.funcname()).filter(|_| plain)? {
        (None | Some("pg_catalog"), "current_setting") => {
            call.args().iter().all(|arg| constant(arg).is_some()).then(Vec::new)
        }
        (None | Some("pg_catalog"), "set_config") => set_config(call).map(|setting| vec![setting]),
        _ => None,
    }
}

fn set_config(call: &FuncCall) -> Option<Setting> {
    let [name, value, local] = *call.args().iter().collect::<Vec<_>>() else { return None };
    let (name, local) = (constant(name)?.to_ascii_lowercase(), truth(local)?);
    let value = match (value, constant(value)) {
        (Node::A_Const(constant), _) if constant.isnull => SettingValue::Default,
        (_, Some(text)) if name == "search_path" => SettingValue::List(text),
        (_, Some(text)) => SettingValue::Values(vec![text]),
        (value, None) => unseen(value).then_some(SettingValue::Other)?,
    };
    Some(Setting { name, local, value })
}

/// Whether a value is given with the statement, or is one that the server has at hand: nothing runs for it.
fn unseen(value: Node<'_>) -> bool {
    match value {
        Node::ParamRef(_) => true,
        Node::TypeCast(cast) => {
            let is_built_in = cast.type_name().is_some_and(|name| names::type_class(name) == TypeClass::BuiltIn);
            is_built_in && matches!(cast.arg(), Node::ParamRef(_) | Node::A_Const(_))
        }
        _ => false,
    }
}

/// As PostgreSQL reads a literal where a boolean is wanted.
fn truth(node: Node<'_>) -> Option<bool> {
    match constant(node)?.to_ascii_lowercase().as_str() {
        "true" | "t" | "on" | "yes" | "1" => Some(true),
        "false" | "f" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
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

//! Of which relations a definition may make something else than a catalog says (rule 12). Where the statement alone does not
//! tell: of everything.
//!
//! What is dropped is not missed: without a view, a foreign key, a default or a policy a table is only less entangled than was
//! known, whoever took them with it by a CASCADE.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    AlterTableStmt, AlterTableType, ConstrType, CreateStmt, GrantStmt, GrantTargetType, ObjectType, RenameStmt,
};

use super::{is_of_a_relation, is_relation};
use crate::effect::Disturbed;
use crate::sql::Name;

/// What `node` disturbs, which names these relations.
pub(super) fn disturbed(node: Node<'_>, targets: &[Name]) -> Disturbed {
    let named = |further: Vec<String>| targets.iter().map(|target| target.name.clone()).chain(further).collect();
    let by_name = |further: Vec<String>| Disturbed::Relations(named(further));
    let in_name = |further: Vec<String>| Disturbed::Names(named(further));
    let in_shape = || Disturbed::Shapes(named(Vec::new()));
    match node {
        Node::CreateStmt(create) if is_bare_partition(create) => in_shape(),
        Node::CreateStmt(create) => by_name(referenced_by_table(create)),
        Node::AlterTableStmt(alter) if is_relation(alter.objtype) && alter.cmds().iter().all(keeps_reach) => in_shape(),
        Node::AlterTableStmt(alter) if is_relation(alter.objtype) => by_name(referenced_by_commands(alter)),
        Node::RenameStmt(rename) if renames_within_relations(rename) => {
            in_name(rename.newname().map(str::to_owned).into_iter().collect())
        }
        Node::AlterObjectSchemaStmt(alter) if is_relation(alter.object_type) => in_name(Vec::new()),
        Node::CreateTrigStmt(create) => {
            let other = create.constrrel().and_then(|relation| relation.relname());
            by_name(other.map(str::to_owned).into_iter().collect())
        }
        Node::DropStmt(drop) => match drop.remove_type {
            // Its table is not named.
            ObjectType::OBJECT_INDEX => Disturbed::Everything,
            object if is_relation(object) => in_name(Vec::new()),
            object if is_of_a_relation(object) => in_shape(),
            _ => Disturbed::Everything,
        },
        Node::GrantStmt(grant) if is_on_relations(grant) => in_shape(),
        Node::ViewStmt(_) | Node::RuleStmt(_) => by_name(Vec::new()),
        Node::CreateTableAsStmt(_)
        | Node::CreateSeqStmt(_)
        | Node::AlterSeqStmt(_)
        | Node::IndexStmt(_)
        | Node::CreatePolicyStmt(_)
        | Node::AlterPolicyStmt(_)
        | Node::RefreshMatViewStmt(_) => in_shape(),
        Node::AlterEnumStmt(alter) if alter.old_val().is_none() => Disturbed::NOTHING,
        Node::CommentStmt(_)
        | Node::CompositeTypeStmt(_)
        | Node::CreateDomainStmt(_)
        | Node::CreateEnumStmt(_)
        | Node::CreateRangeStmt(_)
        | Node::CreateStatsStmt(_)
        | Node::CreatePublicationStmt(_)
        | Node::AlterPublicationStmt(_) => Disturbed::NOTHING,
        _ => Disturbed::Everything,
    }
}

/// Rows of an heir are written with its parent's; those of a partition are the root's.
fn is_bare_partition(create: &CreateStmt) -> bool {
    create.partbound().is_some() && create.table_elts().is_empty() && create.constraints().is_empty()
}

/// Whether a command of ALTER TABLE leaves as it is what a write leads to, or takes some of it away.
fn keeps_reach(command: Node<'_>) -> bool {
    let Node::AlterTableCmd(command) = command else { return false };
    match command.subtype {
        AlterTableType::AT_AddColumn => match command.def() {
            Node::ColumnDef(column) => column.constraints().iter().all(calls_nothing),
            _ => false,
        },
        AlterTableType::AT_AddConstraint => calls_nothing(command.def()),
        other => KEEPING_REACH.contains(&other),
    }
}

/// Whether a constraint neither refers to another table nor runs code.
fn calls_nothing(constraint: Node<'_>) -> bool {
    let Node::Constraint(constraint) = constraint else { return false };
    match constraint.contype {
        ConstrType::CONSTR_NOTNULL
        | ConstrType::CONSTR_NULL
        | ConstrType::CONSTR_PRIMARY
        | ConstrType::CONSTR_UNIQUE => true,
        ConstrType::CONSTR_DEFAULT => matches!(constraint.raw_expr(), Node::A_Const(_)),
        _ => false,
    }
}

const KEEPING_REACH: &[AlterTableType::Type] = &[
    AlterTableType::AT_AlterColumnType,
    AlterTableType::AT_ChangeOwner,
    AlterTableType::AT_DropColumn,
    AlterTableType::AT_DropConstraint,
    AlterTableType::AT_DropNotNull,
    AlterTableType::AT_ReplicaIdentity,
    AlterTableType::AT_ResetRelOptions,
    AlterTableType::AT_SetCompression,
    AlterTableType::AT_SetNotNull,
    AlterTableType::AT_SetRelOptions,
    AlterTableType::AT_SetStatistics,
    AlterTableType::AT_SetStorage,
    AlterTableType::AT_SetTableSpace,
    AlterTableType::AT_ValidateConstraint,
];

fn renames_within_relations(rename: &RenameStmt) -> bool {
    match rename.rename_type {
        ObjectType::OBJECT_COLUMN => is_relation(rename.relation_type),
        ObjectType::OBJECT_TABCONSTRAINT => true,
        other => is_relation(other) || is_of_a_relation(other),
    }
}

fn is_on_relations(grant: &GrantStmt) -> bool {
    matches!(grant.objtype, ObjectType::OBJECT_TABLE | ObjectType::OBJECT_SEQUENCE)
        && grant.targtype == GrantTargetType::ACL_TARGET_OBJECT
}

fn referenced_by_table(create: &CreateStmt) -> Vec<String> {
    let elements = create.table_elts().iter().flat_map(referenced_by_element);
    elements
        .chain(create.constraints().iter().filter_map(|constraint| referenced(Node::Constraint(constraint))))
        .collect()
}

fn referenced_by_commands(alter: &AlterTableStmt) -> Vec<String> {
    let commands = alter.cmds().iter().filter_map(|command| match command {
        Node::AlterTableCmd(command) => Some(command.def()),
        _ => None,
    });
    commands.flat_map(referenced_by_element).collect()
}

/// By the foreign keys of a column, or by one of the table.
fn referenced_by_element(element: Node<'_>) -> Vec<String> {
    match element {
        Node::ColumnDef(column) => column.constraints().iter().filter_map(referenced).collect(),
        other => referenced(other).into_iter().collect(),
    }
}

fn referenced(constraint: Node<'_>) -> Option<String> {
    let Node::Constraint(constraint) = constraint else { return None };
    constraint.pktable()?.relname().map(str::to_owned)
}

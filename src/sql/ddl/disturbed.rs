//! Of which relations a definition may make something else than a catalog says (rule 12). Where the statement alone does not
//! tell: of everything.
//!
//! What is dropped is not missed: without a view, a foreign key, a default or a policy a table is only less entangled than was
//! known, whoever took them with it by a CASCADE.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{AlterTableStmt, CreateStmt, GrantStmt, GrantTargetType, ObjectType, RenameStmt};

use crate::effect::Disturbed;
use crate::sql::Name;

/// What `node` disturbs, which names these relations.
pub(super) fn disturbed(node: Node<'_>, targets: &[Name]) -> Disturbed {
    let by_name = |further: Vec<String>| {
        let named = targets.iter().map(|target| target.name.clone());
        Disturbed::Relations(named.chain(further).collect())
    };
    match node {
        Node::CreateStmt(create) => by_name(referenced_by_table(create)),
        Node::AlterTableStmt(alter) if is_relation(alter.objtype) => by_name(referenced_by_commands(alter)),
        Node::RenameStmt(rename) if renames_within_relations(rename) => {
            by_name(rename.newname().map(str::to_owned).into_iter().collect())
        }
        Node::AlterObjectSchemaStmt(alter) if is_relation(alter.object_type) => by_name(Vec::new()),
        Node::CreateTrigStmt(create) => {
            let other = create.constrrel().and_then(|relation| relation.relname());
            by_name(other.map(str::to_owned).into_iter().collect())
        }
        Node::DropStmt(drop) => match drop.remove_type {
            ObjectType::OBJECT_TRIGGER | ObjectType::OBJECT_RULE | ObjectType::OBJECT_POLICY => by_name(Vec::new()),
            // Its table is not named.
            ObjectType::OBJECT_INDEX => Disturbed::Everything,
            relation if is_relation(relation) => by_name(Vec::new()),
            _ => Disturbed::Everything,
        },
        Node::GrantStmt(grant) if is_on_relations(grant) => by_name(Vec::new()),
        Node::CreateTableAsStmt(_)
        | Node::ViewStmt(_)
        | Node::CreateSeqStmt(_)
        | Node::AlterSeqStmt(_)
        | Node::IndexStmt(_)
        | Node::CreatePolicyStmt(_)
        | Node::AlterPolicyStmt(_)
        | Node::RuleStmt(_)
        | Node::RefreshMatViewStmt(_) => by_name(Vec::new()),
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

fn is_relation(object: ObjectType::Type) -> bool {
    matches!(
        object,
        ObjectType::OBJECT_TABLE
            | ObjectType::OBJECT_VIEW
            | ObjectType::OBJECT_MATVIEW
            | ObjectType::OBJECT_FOREIGN_TABLE
            | ObjectType::OBJECT_SEQUENCE
            | ObjectType::OBJECT_INDEX
    )
}

fn renames_within_relations(rename: &RenameStmt) -> bool {
    match rename.rename_type {
        ObjectType::OBJECT_COLUMN => is_relation(rename.relation_type),
        ObjectType::OBJECT_TABCONSTRAINT
        | ObjectType::OBJECT_TRIGGER
        | ObjectType::OBJECT_POLICY
        | ObjectType::OBJECT_RULE => true,
        other => is_relation(other),
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

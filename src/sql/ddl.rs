//! Statements that change what tables, functions and everything else in the catalog are.

mod disturbed;

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    AlterTableStmt, CreateStmt, DropStmt, GrantStmt, GrantTargetType, NodeTag, ObjectType, RangeVar,
};

use crate::effect::Disturbed;

use super::facts::{Facts, IntoTarget};
use super::names;
use super::{Deed, DefiningQuery, Kind, Name, Read};
use disturbed::disturbed;

/// What a definition names and where it may run.
#[derive(Debug, Default)]
struct Definition {
    targets: Vec<Name>,
    deed: Deed,
    temporary: bool,
    cluster_wide: bool,
    outside_transaction: bool,
    query: Option<DefiningQuery>,
}

impl Definition {
    fn on<'a>(relations: impl IntoIterator<Item = &'a RangeVar>) -> Self {
        Self { targets: relations.into_iter().map(names::relation).collect(), ..Self::default() }
    }

    /// A definition of `relation`, temporary if that is.
    fn creating(relation: Option<&RangeVar>) -> Self {
        let temporary = relation.is_some_and(names::is_temporary);
        Self { temporary, deed: Deed::Makes, ..Self::on(relation) }
    }

    /// The new relation's rows come from this query, which may write, too.
    fn fill(&mut self, query: Facts) {
        self.temporary &= query.writes.is_empty();
        self.targets.extend(query.writes);
        self.query = Some(DefiningQuery::Runs((!query.unknown).then_some(query.read)));
    }

    /// The query is what the new relation is.
    fn reading(self, query: Facts) -> Self {
        Self { query: Some(DefiningQuery::View(query.read)), ..self }
    }

    fn cluster_wide() -> Self {
        Self { cluster_wide: true, ..Self::default() }
    }

    fn outside_transaction(self, outside_transaction: bool) -> Self {
        Self { outside_transaction, ..self }
    }
}

impl Definition {
    fn into_kind(self, disturbed: Disturbed) -> Kind {
        let found = self;
        let only_temporary =
            !found.targets.is_empty() && found.targets.iter().all(|name| name.schema.as_deref() == Some("pg_temp"));
        Kind::Ddl {
            temporary: found.temporary || only_temporary,
            targets: found.targets,
            deed: found.deed,
            disturbed,
            query: found.query,
            cluster_wide: found.cluster_wide,
            outside_transaction: found.outside_transaction,
        }
    }
}

/// `node` as a definition; `None`: it is none.
pub(super) fn definition(node: Node<'_>) -> Option<Kind> {
    let found =
        on_relations(node).or_else(|| cluster_wide(node)).or_else(|| is_other(node).then(Definition::default))?;
    let disturbed = disturbed(node, &found.targets);
    Some(found.into_kind(disturbed))
}

/// SELECT INTO, whose WITH clause may write.
pub(super) fn select_into(into: IntoTarget, query: Facts) -> Kind {
    let (targets, temporary) = (vec![into.name], into.temporary);
    let mut definition = Definition { targets, temporary, deed: Deed::Makes, ..Definition::default() };
    definition.fill(query);
    let made = definition.targets.iter().map(|target| target.name.clone()).collect();
    definition.into_kind(Disturbed::Shapes(made))
}

fn on_relations(node: Node<'_>) -> Option<Definition> {
    Some(match node {
        Node::CreateStmt(create) => create_table(create),
        Node::CreateTableAsStmt(create) => {
            let mut definition = Definition::creating(create.into().and_then(|into| into.rel()));
            definition.fill(Facts::of(create.query()));
            definition
        }
        Node::ViewStmt(view) => Definition::creating(view.view()).reading(Facts::of(view.query())),
        Node::CreateSeqStmt(create) => Definition::creating(create.sequence()),
        Node::AlterSeqStmt(alter) => Definition::on(alter.sequence()),
        Node::AlterTableStmt(alter) => alter_table(alter),
        Node::RenameStmt(rename) => Definition::on(rename.relation()),
        Node::AlterObjectSchemaStmt(alter) => Definition::on(alter.relation()),
        Node::AlterObjectDependsStmt(alter) => Definition::on(alter.relation()),
        Node::AlterOwnerStmt(alter) => Definition::on(alter.relation()),
        Node::CreateTrigStmt(create) => Definition::on(create.relation()),
        Node::CreatePolicyStmt(create) => Definition::on(create.table()),
        Node::AlterPolicyStmt(alter) => Definition::on(alter.table()),
        Node::RuleStmt(rule) => Definition::on(rule.relation()),
        Node::RefreshMatViewStmt(refresh) => Definition::on(refresh.relation()),
        Node::IndexStmt(index) => Definition::on(index.relation()).outside_transaction(index.concurrent),
        Node::DropStmt(drop) => drop_objects(drop),
        Node::GrantStmt(grant) => grant_on(grant),
        _ => return None,
    })
}

fn create_table(create: &CreateStmt) -> Definition {
    let mut definition = Definition::creating(create.relation());
    if definition.temporary {
        let mut read = Read::default();
        for element in create.table_elts() {
            match element {
                Node::TableLikeClause(like) => read.tables.extend(like.relation().map(names::relation)),
                Node::ColumnDef(column) => column.constraints().iter().for_each(|node| calls(node, &mut read)),
                other => calls(other, &mut read),
            }
        }
        definition.query = Some(DefiningQuery::Table(read));
    }
    definition.targets.extend(create.inh_relations().iter().filter_map(relation_of_node));
    definition
}

/// What a constraint calls.
fn calls(constraint: Node<'_>, read: &mut Read) {
    if let Node::Constraint(constraint) = constraint {
        read.functions.extend(Facts::of(constraint.raw_expr()).read.functions);
    }
}

fn relation_of_node(node: Node<'_>) -> Option<Name> {
    <&RangeVar>::try_from(node).ok().map(names::relation)
}

/// The table, and those that are attached to it, detached from it or inherited.
fn alter_table(alter: &AlterTableStmt) -> Definition {
    let mut definition = Definition::on(alter.relation());
    for command in alter.cmds() {
        let Node::AlterTableCmd(command) = command else { continue };
        match command.def() {
            Node::PartitionCmd(partition) => {
                definition.targets.extend(partition.name().map(names::relation));
                definition.outside_transaction |= partition.concurrent;
            }
            other => definition.targets.extend(relation_of_node(other)),
        }
    }
    definition
}

fn drop_objects(drop: &DropStmt) -> Definition {
    let (is_relation, of_a_relation) = (is_relation(drop.remove_type), is_of_a_relation(drop.remove_type));
    let targets = drop.objects().iter().filter_map(|object| match object {
        Node::NodeList(list) if is_relation => names::relation_of_list(list),
        // The relation's name, and the trigger's behind it.
        Node::NodeList(list) if of_a_relation => {
            let mut parts = list.iter().rev().skip(1).filter_map(Node::as_str);
            let name = parts.next()?.to_owned();
            Some(Name { schema: parts.next().map(str::to_owned), name })
        }
        _ => None,
    });
    let deed = if is_relation { Deed::Drops } else { Deed::Changes };
    Definition { targets: targets.collect(), deed, ..Definition::default() }.outside_transaction(drop.concurrent)
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

/// What is named by its relation and a name of its own.
fn is_of_a_relation(object: ObjectType::Type) -> bool {
    matches!(object, ObjectType::OBJECT_TRIGGER | ObjectType::OBJECT_RULE | ObjectType::OBJECT_POLICY)
}

fn grant_on(grant: &GrantStmt) -> Definition {
    match grant.objtype {
        ObjectType::OBJECT_DATABASE | ObjectType::OBJECT_TABLESPACE | ObjectType::OBJECT_PARAMETER_ACL => {
            Definition::cluster_wide()
        }
        // Only these are lists of relations.
        ObjectType::OBJECT_TABLE | ObjectType::OBJECT_SEQUENCE
            if grant.targtype == GrantTargetType::ACL_TARGET_OBJECT =>
        {
            Definition::on(grant.objects())
        }
        _ => Definition::default(),
    }
}

/// Databases, roles, tablespaces, subscriptions, the system's settings.
fn cluster_wide(node: Node<'_>) -> Option<Definition> {
    let outside_transaction = match node {
        Node::CreatedbStmt(_)
        | Node::DropdbStmt(_)
        | Node::AlterDatabaseStmt(_)
        | Node::CreateTableSpaceStmt(_)
        | Node::DropTableSpaceStmt(_)
        | Node::AlterSystemStmt(_)
        | Node::CreateSubscriptionStmt(_)
        | Node::AlterSubscriptionStmt(_)
        | Node::DropSubscriptionStmt(_) => true,
        Node::AlterDatabaseSetStmt(_)
        | Node::AlterDatabaseRefreshCollStmt(_)
        | Node::AlterTableSpaceOptionsStmt(_)
        | Node::AlterTableMoveAllStmt(_)
        | Node::CreateRoleStmt(_)
        | Node::AlterRoleStmt(_)
        | Node::AlterRoleSetStmt(_)
        | Node::DropRoleStmt(_)
        | Node::GrantRoleStmt(_) => false,
        _ => return None,
    };
    Some(Definition::cluster_wide().outside_transaction(outside_transaction))
}

fn is_other(node: Node<'_>) -> bool {
    // The tree's bindings have no type for it.
    let creates_foreign_table = matches!(node, Node::Invalid(raw) if raw.type_ == NodeTag::T_CreateForeignTableStmt);
    let defines = matches!(
        node,
        Node::AlterCollationStmt(_)
            | Node::AlterDefaultPrivilegesStmt(_)
            | Node::AlterDomainStmt(_)
            | Node::AlterEnumStmt(_)
            | Node::AlterEventTrigStmt(_)
            | Node::AlterExtensionContentsStmt(_)
            | Node::AlterExtensionStmt(_)
            | Node::AlterFdwStmt(_)
            | Node::AlterForeignServerStmt(_)
            | Node::AlterFunctionStmt(_)
            | Node::AlterOpFamilyStmt(_)
            | Node::AlterOperatorStmt(_)
            | Node::AlterPublicationStmt(_)
            | Node::AlterStatsStmt(_)
            | Node::AlterTSConfigurationStmt(_)
            | Node::AlterTSDictionaryStmt(_)
            | Node::AlterTypeStmt(_)
            | Node::AlterUserMappingStmt(_)
            | Node::CommentStmt(_)
            | Node::CompositeTypeStmt(_)
            | Node::CreateAmStmt(_)
            | Node::CreateCastStmt(_)
            | Node::CreateConversionStmt(_)
            | Node::CreateDomainStmt(_)
            | Node::CreateEnumStmt(_)
            | Node::CreateEventTrigStmt(_)
            | Node::CreateExtensionStmt(_)
            | Node::CreateFdwStmt(_)
            | Node::CreateForeignServerStmt(_)
            | Node::CreateFunctionStmt(_)
            | Node::CreateOpClassStmt(_)
            | Node::CreateOpFamilyStmt(_)
            | Node::CreatePLangStmt(_)
            | Node::CreatePublicationStmt(_)
            | Node::CreateRangeStmt(_)
            | Node::CreateSchemaStmt(_)
            | Node::CreateStatsStmt(_)
            | Node::CreateTransformStmt(_)
            | Node::CreateUserMappingStmt(_)
            | Node::DefineStmt(_)
            | Node::DropOwnedStmt(_)
            | Node::DropUserMappingStmt(_)
            | Node::ImportForeignSchemaStmt(_)
            | Node::ReassignOwnedStmt(_)
            | Node::SecLabelStmt(_)
    );
    creates_foreign_table || defines
}

#[cfg(test)]
mod tests;

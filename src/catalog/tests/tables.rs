//! Which tables there are, their keys, and whether they are exact.

use super::*;
use crate::catalog::KeyKind;
use crate::effect::{Reason, TableId, Touched};

fn touched(tables: &[TableId]) -> Touched {
    Touched::Tables(tables.to_vec())
}

#[tokio::test]
async fn rule_14_a_key_is_a_unique_index_that_holds_for_every_row_at_every_moment() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE TABLE primary_key (a text, b int, c int PRIMARY KEY);
         CREATE TABLE order_of_index (a int, b int, PRIMARY KEY (b, a));
         CREATE TABLE unique_not_null (a int, b int NOT NULL UNIQUE);
         CREATE TABLE nullable (a int UNIQUE);
         CREATE TABLE partial (a int NOT NULL); CREATE UNIQUE INDEX ON partial (a) WHERE a > 0;
         CREATE TABLE expression (a int NOT NULL); CREATE UNIQUE INDEX ON expression ((a + 1));
         CREATE TABLE later (a int NOT NULL UNIQUE DEFERRABLE);
         CREATE TABLE computed (a int, b int GENERATED ALWAYS AS (a) STORED NOT NULL UNIQUE);
         CREATE TABLE included (a int NOT NULL, b int); CREATE UNIQUE INDEX ON included (a) INCLUDE (b);
         CREATE TABLE better_than_primary (a numeric PRIMARY KEY, b int NOT NULL UNIQUE);
         CREATE TABLE identity (a int NOT NULL UNIQUE, b int NOT NULL, c int);
         CREATE UNIQUE INDEX chosen ON identity (b); ALTER TABLE identity REPLICA IDENTITY USING INDEX chosen;
         CREATE TABLE none (a int)",
    )
    .await;
    let catalog = catalog(&client).await;
    for (name, key) in [
        ("primary_key", &["c"][..]),
        ("order_of_index", &["b", "a"]),
        ("unique_not_null", &["b"]),
        ("nullable", &[]),
        ("partial", &[]),
        ("expression", &[]),
        ("later", &[]),
        ("computed", &[]),
        ("included", &["a"]),
        ("better_than_primary", &["b"]),
        ("identity", &["b"]),
        ("none", &[]),
    ] {
        let table = catalog.table(name);
        let found: Vec<_> = table.shape.key_columns().map(|column| column.name.as_str()).collect();
        assert_eq!(found, key, "{name}");
        assert_eq!(table.exact, if key.is_empty() { Err(Reason::NoKey) } else { Ok(()) }, "{name}");
    }
    assert_eq!(catalog.table("better_than_primary").unique_keys, [["b"], ["a"]]);
    assert!(catalog.table("better_than_primary").entangled && !catalog.table("primary_key").entangled);
}

#[tokio::test]
async fn rule_17_only_types_whose_text_is_their_identity_make_exact_keys() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN small AS int2; CREATE DOMAIN smaller AS small;
         CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    )
    .await;
    for (column, kind) in [
        ("int2", KeyKind::Plain),
        ("int8", KeyKind::Plain),
        ("uuid", KeyKind::Plain),
        ("date", KeyKind::Plain),
        ("bool", KeyKind::Plain),
        ("timestamp", KeyKind::Plain),
        ("smaller", KeyKind::Plain),
        ("text", KeyKind::Collated),
        ("varchar(9)", KeyKind::Collated),
        ("mood", KeyKind::Collated),
        ("text COLLATE loose", KeyKind::Opaque),
        ("char(9)", KeyKind::Opaque),
        ("bytea", KeyKind::Opaque),
        ("numeric", KeyKind::Opaque),
        ("float8", KeyKind::Opaque),
        ("timestamptz", KeyKind::Opaque),
        ("int[]", KeyKind::Opaque),
    ] {
        run(&client, &format!("CREATE TABLE t (k {column}, n int, PRIMARY KEY (n, k))")).await;
        let table = catalog(&client).await.table("t");
        assert_eq!(table.key_kind, kind, "{column}");
        assert_eq!(table.exact.is_err(), kind == KeyKind::Opaque, "{column}");
        run(&client, "DROP TABLE t").await;
    }
}

#[tokio::test]
async fn rule_11_what_would_not_be_captured_exactly_says_why() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SELECT 1''; RETURN NEW; END';
         CREATE TABLE plain (a int PRIMARY KEY);
         CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY);
         CREATE TABLE triggered (a int PRIMARY KEY);
         CREATE TRIGGER t AFTER UPDATE ON triggered FOR EACH STATEMENT EXECUTE FUNCTION f();
         CREATE TABLE disabled (a int PRIMARY KEY);
         CREATE TRIGGER t AFTER UPDATE ON disabled FOR EACH ROW EXECUTE FUNCTION f();
         ALTER TABLE disabled DISABLE TRIGGER t;
         CREATE TABLE truncated (a int PRIMARY KEY);
         CREATE TRIGGER t AFTER TRUNCATE ON truncated EXECUTE FUNCTION f();
         CREATE TABLE ruled (a int PRIMARY KEY); CREATE RULE r AS ON INSERT TO ruled DO ALSO NOTIFY x;
         CREATE TABLE priced (a int PRIMARY KEY, b money[]);
         CREATE TABLE named (a int PRIMARY KEY, b regclass);
         CREATE TABLE parent (a int PRIMARY KEY); CREATE TABLE heir (PRIMARY KEY (a)) INHERITS (parent);
         CREATE TABLE listed (a int PRIMARY KEY);
         CREATE TABLE parts (a int PRIMARY KEY) PARTITION BY RANGE (a);
         CREATE TABLE part PARTITION OF parts DEFAULT;
         CREATE TABLE triggered_below (a int PRIMARY KEY) PARTITION BY RANGE (a);
         CREATE TABLE below PARTITION OF triggered_below DEFAULT;
         CREATE TRIGGER t AFTER UPDATE ON below FOR EACH ROW EXECUTE FUNCTION f();
         CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
         CREATE TABLE foreign_below (a int) PARTITION BY RANGE (a);
         CREATE FOREIGN TABLE elsewhere PARTITION OF foreign_below DEFAULT SERVER s;
         CREATE FUNCTION guess() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
         CREATE TABLE guessing (a int PRIMARY KEY DEFAULT guess());
         CREATE TABLE checking (a int PRIMARY KEY CHECK (a > guess()))",
    )
    .await;
    let options = LoadOptions { no_rewrite: Patterns::new(&["public.lis*".to_owned()]), ..everything() };
    let catalog = load(&client, &options, 1).await.unwrap();
    for (name, exact, reaches_all) in [
        ("plain", Ok(()), false),
        ("unlogged", Ok(()), false),
        ("triggered", Err(Reason::Trigger), true),
        ("disabled", Ok(()), false),
        ("truncated", Ok(()), false),
        ("ruled", Err(Reason::NotATable), true),
        ("priced", Err(Reason::Settings), false),
        ("named", Err(Reason::Settings), false),
        ("parent", Err(Reason::Form), false),
        ("heir", Ok(()), false),
        ("listed", Err(Reason::Configured), false),
        ("parts", Ok(()), false),
        ("part", Err(Reason::Form), false),
        ("triggered_below", Err(Reason::Trigger), true),
        ("foreign_below", Err(Reason::NotATable), true),
        ("guessing", Ok(()), true),
        ("checking", Ok(()), true),
    ] {
        let table = catalog.table(name);
        assert_eq!(table.exact, exact, "{name}");
        assert_eq!(table.leads.by_writing() == Touched::All, reaches_all, "{name}");
    }
    let heir = catalog.table("heir").shape.table;
    let parent = catalog.table("parent");
    assert_eq!((&parent.leads.reach, &parent.descendants[..]), (&touched(&[heir]), &[heir][..]));
    assert_eq!(parent.source(), "ONLY \"public\".\"parent\"");
    assert_eq!(catalog.table("parts").source(), "\"public\".\"parts\"");
}

#[tokio::test]
async fn rule_10_triggers_that_change_nothing_but_their_row_leave_a_table_exact() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.at := now(); NEW.b := lower(NEW.b); RETURN NEW; END $$;
         CREATE FUNCTION identify() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.a := coalesce(NEW.a, 1); RETURN NEW; END $$;
         CREATE FUNCTION lower(inet) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT NULL::text';
         CREATE FUNCTION stamp_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := now(); RETURN NEW; END $$;
         CREATE FUNCTION asks(x int) RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT true';
         CREATE FUNCTION sql_body() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); RETURN NEW; END $$;
         CREATE TABLE log (a int);
         CREATE TABLE stamped (a int PRIMARY KEY, b text, at timestamptz);
         CREATE TABLE overloaded (a int PRIMARY KEY, b text, at timestamptz);
         CREATE TABLE identified (a int PRIMARY KEY); CREATE TABLE rekeyed (a int PRIMARY KEY);
         CREATE TABLE asked (a int PRIMARY KEY, b text, at timestamptz);
         CREATE TABLE noted (a int PRIMARY KEY, b text, at timestamptz);
         CREATE TABLE indexed (a int PRIMARY KEY, t tsvector, b text); CREATE TABLE same (a int PRIMARY KEY);
         CREATE TRIGGER t BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp_only();
         CREATE TRIGGER t BEFORE INSERT OR UPDATE ON overloaded FOR EACH ROW EXECUTE FUNCTION stamp();
         CREATE TRIGGER t BEFORE INSERT ON identified FOR EACH ROW EXECUTE FUNCTION identify();
         CREATE TRIGGER t BEFORE UPDATE ON rekeyed FOR EACH ROW EXECUTE FUNCTION identify();
         CREATE TRIGGER t BEFORE UPDATE ON asked FOR EACH ROW WHEN (asks(NEW.a)) EXECUTE FUNCTION stamp_only();
         CREATE TRIGGER t BEFORE UPDATE ON noted FOR EACH ROW EXECUTE FUNCTION stamp_only();
         CREATE TRIGGER u AFTER UPDATE ON noted FOR EACH ROW EXECUTE FUNCTION sql_body();
         CREATE TRIGGER t BEFORE INSERT OR UPDATE ON indexed FOR EACH ROW
            EXECUTE FUNCTION tsvector_update_trigger(t, 'pg_catalog.english', b);
         CREATE TRIGGER t BEFORE UPDATE ON same FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    )
    .await;
    let exact = |catalog: &Catalog| {
        let names = ["stamped", "overloaded", "identified", "rekeyed", "asked", "noted", "indexed", "same"];
        names.map(|name| (name, catalog.table(name).exact.is_ok()))
    };
    assert_eq!(
        exact(&catalog(&client).await),
        [
            ("stamped", true),
            ("overloaded", false),
            ("identified", true),
            ("rekeyed", false),
            ("asked", false),
            ("noted", true),
            ("indexed", true),
            ("same", true)
        ]
    );
    assert_eq!(catalog(&client).await.table("rekeyed").exact, Err(Reason::Trigger));
    // Whoever reads the text of a statement would see the rewrite.
    let reads = "CREATE FUNCTION reads() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM current_query(); RETURN NEW; END $$";
    client.batch_execute(reads).await.unwrap();
    assert!(exact(&catalog(&client).await).iter().all(|(_, exact)| !exact));
}

#[tokio::test]
async fn rule_07_partitions_belong_to_their_root() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE TABLE root (a int, b int, PRIMARY KEY (a, b)) PARTITION BY LIST (a);
         CREATE TABLE middle PARTITION OF root FOR VALUES IN (1) PARTITION BY LIST (b);
         CREATE SCHEMA other; CREATE TABLE other.leaf PARTITION OF middle DEFAULT;
         INSERT INTO root SELECT 1, i FROM generate_series(1, 500) i; ANALYZE root",
    )
    .await;
    let catalog = catalog(&client).await;
    let root = catalog.table("root");
    assert_eq!(catalog.tables.len(), 1);
    assert_eq!(root.rows_estimate, 500);
    let leaf = client.query_one("SELECT 'other.leaf'::regclass::oid", &[]).await.unwrap().get(0);
    assert_eq!(catalog.by_oid(leaf).unwrap().shape, root.shape);
    assert_eq!(catalog.namesakes("leaf"), [root.shape.table]);
}

#[tokio::test]
async fn rule_10_what_triggers_write_by_name_is_followed_to_its_end() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE SCHEMA other; CREATE TABLE log (id int PRIMARY KEY); CREATE TABLE other.log (id int PRIMARY KEY);
         CREATE TABLE posts (id int PRIMARY KEY, comments int); CREATE TABLE tags (post int PRIMARY KEY REFERENCES posts ON DELETE CASCADE);
         CREATE TABLE comments (id int PRIMARY KEY, post int); CREATE TABLE swept (id int PRIMARY KEY);
         CREATE TABLE echo (id int PRIMARY KEY); CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE two (id int PRIMARY KEY);
         CREATE TABLE opaque (id int PRIMARY KEY); CREATE TABLE behind (id int PRIMARY KEY);
         CREATE VIEW seen AS SELECT id FROM log; CREATE TABLE to_view (id int PRIMARY KEY); CREATE TABLE to_none (id int PRIMARY KEY);
         CREATE TABLE elder (id int PRIMARY KEY); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (elder);
         CREATE TABLE to_elder (id int PRIMARY KEY);
         CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END';
         CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN UPDATE public.posts SET comments = comments + 1 WHERE id = NEW.post; RETURN NEW; END';
         CREATE FUNCTION sweep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM posts WHERE id = OLD.id; RETURN OLD; END';
         CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE echo SET id = id; RETURN NEW; END';
         CREATE FUNCTION to_one() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM one WHERE id = OLD.id; RETURN OLD; END';
         CREATE FUNCTION to_two() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM two WHERE id = OLD.id; RETURN OLD; END';
         CREATE FUNCTION opaque() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SELECT 1''; RETURN NEW; END';
         CREATE FUNCTION behind() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO opaque VALUES (1); RETURN NEW; END';
         CREATE FUNCTION to_view() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO seen VALUES (1); RETURN NEW; END';
         CREATE FUNCTION to_none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO nowhere VALUES (1); RETURN NEW; END';
         CREATE FUNCTION to_elder() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE elder SET id = 1; RETURN NEW; END';
         CREATE TRIGGER t AFTER UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION log();
         CREATE TRIGGER t AFTER INSERT ON comments FOR EACH ROW EXECUTE FUNCTION counted();
         CREATE TRIGGER t AFTER DELETE ON swept FOR EACH ROW EXECUTE FUNCTION sweep();
         CREATE TRIGGER t AFTER UPDATE ON echo FOR EACH ROW EXECUTE FUNCTION echo();
         CREATE TRIGGER t AFTER DELETE ON one FOR EACH ROW EXECUTE FUNCTION to_two();
         CREATE TRIGGER t AFTER DELETE ON two FOR EACH ROW EXECUTE FUNCTION to_one();
         CREATE TRIGGER t AFTER INSERT ON opaque FOR EACH ROW EXECUTE FUNCTION opaque();
         CREATE TRIGGER t AFTER INSERT ON behind FOR EACH ROW EXECUTE FUNCTION behind();
         CREATE TRIGGER t AFTER INSERT ON to_view FOR EACH ROW EXECUTE FUNCTION to_view();
         CREATE TRIGGER t AFTER INSERT ON to_none FOR EACH ROW EXECUTE FUNCTION to_none();
         CREATE TRIGGER t AFTER INSERT ON to_elder FOR EACH ROW EXECUTE FUNCTION to_elder()",
    )
    .await;
    let catalog = catalog(&client).await;
    let id = |name: &str| catalog.table(name).shape.table;
    let logs = catalog.namesakes("log");
    for (name, exact, expected) in [
        ("posts", Ok(()), touched(&logs)),
        ("comments", Ok(()), touched(&[&logs[..], &[id("posts")]].concat())),
        ("swept", Ok(()), touched(&[&logs[..], &[id("posts"), id("tags")]].concat())),
        ("echo", Err(Reason::Trigger), touched(&[id("echo")])),
        ("one", Err(Reason::Trigger), touched(&[id("one"), id("two")])),
        ("behind", Ok(()), Touched::All),
        ("to_view", Err(Reason::Trigger), Touched::All),
        ("to_none", Err(Reason::Trigger), Touched::All),
        ("to_elder", Ok(()), touched(&[id("elder"), id("heir")])),
    ] {
        let table = catalog.table(name);
        assert_eq!(table.exact, exact, "{name}");
        assert!(table.leads.reach.is_same_as(&expected), "{name}: {:?}", table.leads.reach);
    }
}

#[tokio::test]
async fn rule_16_cascades_are_followed_to_their_end() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SELECT 1''; RETURN NEW; END';
         CREATE TABLE a (id int PRIMARY KEY);
         CREATE TABLE b (id int PRIMARY KEY REFERENCES a ON DELETE CASCADE);
         CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b ON UPDATE SET NULL) PARTITION BY RANGE (id);
         CREATE TABLE c1 PARTITION OF c DEFAULT;
         CREATE TABLE d (id int PRIMARY KEY, a int REFERENCES a);
         CREATE TABLE h (one int, two text, PRIMARY KEY (one, two), code text UNIQUE, three int GENERATED ALWAYS AS (one + 1) STORED UNIQUE);
         CREATE TABLE by_key (id int PRIMARY KEY, zwei text, eins bigint, FOREIGN KEY (zwei, eins) REFERENCES h (two, one) ON DELETE CASCADE);
         CREATE TABLE cut (id int PRIMARY KEY, eins int, zwei text, FOREIGN KEY (eins, zwei) REFERENCES h ON DELETE SET NULL);
         CREATE TABLE defaulted (eins int, zwei text PRIMARY KEY, FOREIGN KEY (eins, zwei) REFERENCES h ON DELETE SET DEFAULT);
         CREATE TABLE by_code (id int PRIMARY KEY, code text REFERENCES h (code) ON DELETE CASCADE);
         CREATE TABLE keyless (eins int, zwei text, FOREIGN KEY (eins, zwei) REFERENCES h ON DELETE CASCADE);
         CREATE TABLE follows (id int PRIMARY KEY, code text REFERENCES h (code) ON UPDATE CASCADE);
         CREATE TABLE computed (id int PRIMARY KEY, three int REFERENCES h (three) ON UPDATE SET NULL);
         CREATE TABLE e (id int PRIMARY KEY);
         CREATE TABLE g (id int PRIMARY KEY REFERENCES e ON DELETE CASCADE);
         CREATE TRIGGER t AFTER DELETE ON g FOR EACH ROW EXECUTE FUNCTION f()",
    )
    .await;
    let catalog = catalog(&client).await;
    let id = |name: &str| catalog.table(name).shape.table;
    let removal = |name: &str| catalog.table(name).leads.removal.clone();
    assert!(removal("a").touched.is_same_as(&touched(&[id("b")])));
    assert_eq!((removal("a").whole, removal("a").referring.len()), (Touched::NONE, 1));
    assert_eq!(removal("b").touched, Touched::NONE);
    assert!(catalog.table("b").leads.rekeying.is_same_as(&touched(&[id("c")])));
    assert_eq!(catalog.table("b").leads.referenced, ["id"]);
    assert_eq!(removal("d").touched, Touched::NONE);
    assert_eq!((removal("e").touched, removal("e").whole), (Touched::All, Touched::All));
    assert!(catalog.table("a").entangled && catalog.table("d").entangled);
    let h = catalog.table("h");
    let deletes = ["by_key", "cut", "defaulted", "by_code", "keyless"].map(id);
    assert!(h.leads.removal.touched.is_same_as(&touched(&deletes)));
    assert!(h.leads.removal.whole.is_same_as(&touched(&deletes[2..])));
    let columns = |table: TableId| {
        let referring = h.leads.removal.referring.iter().find(|referring| referring.table == table).unwrap();
        referring.columns.iter().map(|(column, of)| format!("{column}: {of}")).collect::<Vec<_>>()
    };
    for (table, one) in [(id("by_key"), "eins"), (id("cut"), "eins")] {
        assert_eq!(columns(table), [format!("{one}: pg_catalog.int4"), "zwei: pg_catalog.text".to_owned()]);
    }
    assert!(h.leads.rekeying.is_same_as(&touched(&[id("follows"), id("computed")])));
    assert!(h.leads.of_update(&["one".to_owned()]).is_some(), "three is computed from it");
}

#[tokio::test]
async fn names_lead_where_the_server_would_go() {
    let (_cluster, client) = server().await;
    run(
        &client,
        "CREATE SCHEMA one; CREATE SCHEMA crossfade; CREATE TABLE one.t (a int); CREATE TABLE t (a int);
         CREATE TABLE pg_class (a int); CREATE TABLE skipped (a int); CREATE TABLE crossfade.progress (a int);
         CREATE MATERIALIZED VIEW m AS SELECT 1; CREATE SEQUENCE s; CREATE TEMP TABLE passing (a int)",
    )
    .await;
    let options = LoadOptions { exclude: Patterns::new(&["public.skip*".to_owned()]), ..everything() };
    let catalog = load(&client, &options, 1).await.unwrap();
    let path = |schemas: &[&str]| schemas.iter().map(|&schema| schema.to_owned()).collect::<Vec<_>>();
    let schema_of = |schema, name, schemas: &[&str]| match catalog.resolve(schema, name, &path(schemas)) {
        Resolved::Table(table) => table.shape.schema.clone(),
        Resolved::Unmirrored(leads) => format!("unmirrored, leads nowhere: {}", leads.are_nowhere()),
        other => format!("{other:?}"),
    };
    assert_eq!(schema_of(None, "t", &["one", "public"]), "one");
    assert_eq!(schema_of(None, "t", &["public", "one"]), "public");
    assert_eq!(schema_of(Some("one"), "t", &["public"]), "one");
    assert_eq!(schema_of(None, "t", &["nowhere"]), "Unknown");
    assert_eq!(schema_of(None, "pg_class", &["public"]), "unmirrored, leads nowhere: true");
    assert_eq!(schema_of(None, "pg_class", &["public", "pg_catalog"]), "public");
    for (schema, name) in
        [("public", "m"), ("public", "s"), ("public", "skipped"), ("crossfade", "progress"), ("pg_catalog", "pg_proc")]
    {
        assert_eq!(schema_of(Some(schema), name, &[]), "unmirrored, leads nowhere: true", "{name}");
    }
    assert_eq!(schema_of(None, "passing", &["public"]), "Unknown");
    let temporary = client.query_one("SELECT 'pg_temp.passing'::regclass::oid", &[]).await.unwrap().get::<_, u32>(0);
    assert!(catalog.unmirrored.contains_key(&temporary));
    assert_eq!(catalog.namesakes("t").len(), 2);
}

use super::*;

/// What is known: a few functions and operators, and that `mine` is a function that may write.
struct Known;

impl Knowledge for Known {
    fn writes_nothing(&self, name: &str) -> bool {
        let quiet =
            ["now", "lower", "jsonb_build_object", "nextval", "pg_notify", "row_to_json", "+", "||", "-", "->", "*"];
        quiet.contains(&name) || IMPLIED.contains(&name)
    }

    fn may_be_column(&self, name: &str) -> bool {
        name != "mine"
    }
}

fn columns(source: &str) -> Option<Vec<String>> {
    let found = deeds(source, &Known)?;
    assert_eq!(found.writes, []);
    let mut columns: Vec<_> = found.assigned.into_iter().collect();
    columns.sort_unstable();
    Some(columns)
}

#[test]
fn rule_10_what_changes_only_its_row_and_which_columns() {
    for (source, expected) in [
        ("BEGIN NEW.updated_at := now(); RETURN NEW; END", &["updated_at"][..]),
        ("begin\n  new.updated_at = current_timestamp; -- update it\n  return new;\nend;", &["updated_at"]),
        ("BEGIN RETURN NULL; END", &[]),
        ("BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN COALESCE(NEW, OLD); END", &[]),
        (
            "BEGIN IF NEW IS DISTINCT FROM OLD THEN NEW.version := OLD.version + 1; END IF; RETURN NEW; END",
            &["version"],
        ),
        (
            "BEGIN IF NEW.a IS NULL THEN NEW.a := lower(NEW.\"B c\") || $q$;insert into$q$; END IF; RETURN NEW; END",
            &["a"],
        ),
        ("DECLARE n int := 0; m t.c%TYPE; BEGIN n := n + 1; NEW.n := n; RETURN NEW; END", &["n"]),
        ("BEGIN NEW.tags[1] := 'x'; NEW.part.of := 1; RETURN NEW; END", &["part", "tags"]),
        ("BEGIN NEW.y := extract(year from NEW.at)::int; NEW.\"Sum\" = NEW.y + 1; RETURN NEW; END", &["Sum", "y"]),
        (
            "BEGIN IF NEW.n < 0 THEN RAISE EXCEPTION 'negative: %', NEW.n USING ERRCODE = '22003'; END IF; RETURN NEW; END",
            &[],
        ),
        ("BEGIN /* insert /* nested */ */ NEW.doc := jsonb_build_object('a', NEW.a); RETURN NEW; END", &["doc"]),
        ("BEGIN NEW.id := nextval('s'); RETURN NEW; END", &["id"]),
        ("BEGIN NEW.at := NEW.at at time zone 'UTC' + interval '1 day'; RETURN NEW; END", &["at"]),
        ("DECLARE at timestamp with time zone; BEGIN NEW.at := NULL::time with time zone; RETURN NEW; END", &["at"]),
        (
            "BEGIN IF NEW.a LIKE 'x%' AND NEW.b IN ('y', 'z') OR NEW.c BETWEEN 1 AND 2 THEN NULL; END IF; RETURN NEW; END",
            &[],
        ),
        (
            "BEGIN IF (TG_OP = 'UPDATE') THEN IF (NEW.a = 1) THEN NEW.b = 2; END IF; END IF; RETURN NEW; END",
            &["a", "b"],
        ),
        ("BEGIN NEW.set := NEW.\"values\"; RETURN NEW; END", &["set"]),
    ] {
        assert_eq!(
            columns(source).as_deref(),
            Some(&expected.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()[..]),
            "{source}"
        );
    }
}

#[test]
fn rule_10_anything_else_is_no_proof() {
    for source in [
        "BEGIN PERFORM f(); RETURN NEW; END",
        "BEGIN NEW.a := f(NEW.b); RETURN NEW; END",
        "BEGIN NEW.a := s.lower(NEW.b); RETURN NEW; END",
        "BEGIN NEW.a := \"F\"(NEW.b); RETURN NEW; END",
        "BEGIN NEW.a := NEW.b <+> 1; RETURN NEW; END",
        "BEGIN NEW.a := NEW.b::mine; RETURN NEW; END",
        "BEGIN NEW.a := max(id) FROM t; RETURN NEW; END",
        "BEGIN NEW.a := lower('x') FROM v; RETURN NEW; END",
        "BEGIN NEW.a := current_query(); RETURN NEW; END",
        "BEGIN NEW.a := CASE WHEN NEW.b THEN if(1) END; RETURN NEW; END",
        "BEGIN NEW.a := (NEW).f; RETURN NEW; END",
        "BEGIN NEW.a := NEW.b[1].f; RETURN NEW; END",
        "BEGIN NEW.a := mine 'x'; RETURN NEW; END",
        "BEGIN NEW.a := s.load(1); RETURN NEW; END",
        "BEGIN NEW.a := s.new(1); RETURN NEW; END",
        "BEGIN -- hidden\rEXECUTE f();\rRETURN NEW; END",
        "BEGIN f.NEW.id := OLD.id + 1; RETURN NEW; END",
        "BEGIN f.NEW := OLD; RETURN NEW; END",
        "BEGIN \"new\".id := 1; RETURN NEW; END",
        "BEGIN \"new\" := OLD; RETURN NEW; END",
        "BEGIN f.\"new\".id := 1; RETURN NEW; END",
        "BEGIN NEW.n := record(NEW.id); RETURN NEW; END",
        "BEGIN NEW.n := uuid(NEW.id); RETURN NEW; END",
        "BEGIN NEW.n := v.distinct FROM v; RETURN NEW; END",
        "DECLARE x mydomain DEFAULT 5 % 2; BEGIN RETURN NEW; END",
        "BEGIN NEW.a234567890123456789012345678901234567890123456789012345678901234 := 1; RETURN NEW; END",
        "BEGIN NEW.a := pg_stat_get_activity(1); RETURN NEW; END",
        "BEGIN NEW := OLD; RETURN NEW; END",
        "BEGIN NEW = f; RETURN NEW; END",
        "DECLARE new t; BEGIN RETURN NEW; END",
        "DECLARE r t%ROWTYPE; BEGIN RETURN r; END",
        "DECLARE r record; BEGIN RETURN (r); END",
        "DECLARE x mine := 1; BEGIN RETURN NEW; END",
        "DECLARE n ALIAS FOR NEW; BEGIN n.id := 1; RETURN NEW; END",
        "BEGIN EXECUTE 'select 1' INTO NEW.id; RETURN NEW; END",
        "BEGIN SELECT * INTO NEW FROM t; RETURN NEW; END",
        "BEGIN BEGIN NEW.a := 1; EXCEPTION WHEN others THEN NULL; END; RETURN NEW; END",
        "BEGIN FOR NEW.id IN 1..2 LOOP NULL; END LOOP; RETURN NEW; END",
        "BEGIN NEW.a := U&'\\0041'; RETURN NEW; END",
        "BEGIN NEW.a := E'\\'; delete from t; --'; RETURN NEW; END",
        "BEGIN NEW.a := 'open; RETURN NEW; END",
        "BEGIN NEW.a := $q$open; RETURN NEW; END",
        "BEGIN NEW.a := (TABLE t); RETURN NEW; END",
        "BEGIN RETURN; END",
        "BEGIN NEW.a := 1; RETURN NEXT NEW; END",
    ] {
        assert_eq!(columns(source), None, "{source}");
    }
}

fn writes(source: &str) -> Option<Vec<String>> {
    let found = deeds(source, &Known)?;
    let target = |Target { schema, name, verb }: &Target| match schema {
        Some(schema) => format!("{verb:?} {schema}.{name}"),
        None => format!("{verb:?} {name}"),
    };
    Some(found.writes.iter().map(target).collect())
}

#[test]
fn rule_10_tables_that_are_written_by_their_names_are_told() {
    for (source, expected) in [
        ("BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END", &["Insert log"][..]),
        ("BEGIN -- hidden\rINSERT INTO log VALUES (1);\rRETURN NEW; END", &["Insert log"]),
        (
            "BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO audit.log SELECT 'D', now(), OLD.*; RETURN OLD; END IF;
             INSERT INTO audit.log (op, \"At\", row) VALUES (TG_OP, now(), row_to_json(NEW)); RETURN NEW; END",
            &["Insert audit.log", "Insert audit.log"],
        ),
        ("BEGIN UPDATE posts SET comments = comments + 1 WHERE id = NEW.post; RETURN NEW; END", &["Update posts"]),
        (
            "BEGIN UPDATE ONLY posts AS p SET (a, b) = (1, 2) WHERE p.id = OLD.post AND p.a IN (1, 2); RETURN NULL; END",
            &["Update posts"],
        ),
        (
            "BEGIN DELETE FROM cache c WHERE c.id = OLD.id; DELETE FROM other; RETURN OLD; END",
            &["Delete cache", "Delete other"],
        ),
        (
            "BEGIN INSERT INTO totals (day, n) VALUES (NEW.day, 1) ON CONFLICT (day) DO UPDATE SET n = totals.n + 1; RETURN NEW; END",
            &["Insert totals"],
        ),
        (
            "BEGIN INSERT INTO seen DEFAULT VALUES ON CONFLICT ON CONSTRAINT seen_key DO NOTHING; RETURN NEW; END",
            &["Insert seen"],
        ),
        ("BEGIN PERFORM pg_notify('changed', NEW.id::text); RETURN NEW; END", &[]),
    ] {
        let expected: Vec<String> = expected.iter().map(|&target| target.to_owned()).collect();
        assert_eq!(writes(source), Some(expected), "{source}");
    }
}

#[test]
fn rule_10_statements_that_may_do_more_are_no_proof() {
    for source in [
        "BEGIN INSERT INTO log SELECT * FROM v; RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (f()); RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES ((SELECT max(id) FROM v)); RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (NEW.id) RETURNING id INTO NEW.log; RETURN NEW; END",
        "BEGIN INSERT INTO log AS l VALUES (1); RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (1) ON CONFLICT (f(id)) DO NOTHING; RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (1) ON CONFLICT (id) DO UPDATE SET id = f(); RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (mine '1'); RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (1::mine); RETURN NEW; END",
        "BEGIN INSERT INTO log TABLE v; RETURN NEW; END",
        "BEGIN INSERT INTO log (WITH gone AS (DELETE FROM t) SELECT 1); RETURN NEW; END",
        "BEGIN UPDATE posts SET n = n + 1 FROM v WHERE v.id = posts.id; RETURN NEW; END",
        "BEGIN UPDATE posts SET n = posts.mine; RETURN NEW; END",
        "BEGIN UPDATE posts SET n = (posts).mine; RETURN NEW; END",
        "BEGIN UPDATE posts SET n = n <+> 1; RETURN NEW; END",
        "BEGIN DELETE FROM cache USING v WHERE v.id = cache.id; RETURN NEW; END",
        "BEGIN DELETE FROM cache WHERE id IN (SELECT id FROM v); RETURN NEW; END",
        "BEGIN PERFORM set_config('a', 'b', true); RETURN NEW; END",
        "BEGIN PERFORM 1 FROM v; RETURN NEW; END",
        "BEGIN PERFORM pg_sleep(1); RETURN NEW; END",
        "BEGIN MERGE INTO t USING v ON true WHEN MATCHED THEN DELETE; RETURN NEW; END",
        "BEGIN EXECUTE 'insert into log values (1)'; RETURN NEW; END",
        "BEGIN INSERT INTO log VALUES (1) RETURN NEW; END",
        "BEGIN FOR i IN 1..2 LOOP INSERT INTO log VALUES (i); END LOOP; RETURN NEW; END",
        "DECLARE update int; BEGIN RETURN NEW; END",
    ] {
        assert_eq!(writes(source), None, "{source}");
    }
}

//! Edits after which the program holds values that the new code would misread: they are refused
//! by name, or the values keep their old code.

mod support;

use support::{Event, Fixture, Save, Watch};

const CALLS: &str = "src/calls.rs";
const TASK: &str = "src/task.rs";

fn start(fixture: &Fixture) -> Watch {
    let mut watch = Watch::start_with(fixture, &["--restart", "never"]);
    watch.wait_text("tick 1 ");
    watch
}

#[track_caller]
fn refused_item(watch: &mut Watch) -> (String, String) {
    let Event(refused) = watch.refused();
    let text = |key: &str| refused[key].to_string();
    (text("items"), text("detail"))
}

/// A refused edit leaves the program as it was; taking it back and going on works.
fn layouts_and_method_tables_are_refused(fixture: &Fixture, watch: &mut Watch) {
    let before = fixture.read(CALLS);
    fixture.edit_all(
        CALLS,
        &[
            ("steps: Box<u64>,\n}", "steps: Box<u64>,\n    more: u64,\n}"),
            ("steps: Box::new(0) }", "steps: Box::new(0), more: 7 }"),
        ],
    );
    let (items, detail) = refused_item(watch);
    assert!(items.contains("dispatch::calls::Machine"), "{items} {detail}");
    assert!(detail.contains("grows from 8 to 16 bytes: new field `more: u64`"), "{detail}");
    watch.let_it_run(3);
    fixture.write(CALLS, &before, Save::InPlace);
    watch.wait("nothing-changed");
    fixture.edit_all(
        CALLS,
        &[
            ("fn area(&self) -> u32;", "fn edges(&self) -> u32;\n    fn area(&self) -> u32;"),
            (
                "impl Shape for Square {",
                "impl Shape for Square {\n    fn edges(&self) -> u32 {\n        4\n    }",
            ),
        ],
    );
    let (items, detail) = refused_item(watch);
    assert!(items.contains("dyn dispatch::calls::Shape"), "{items} {detail}");
    assert!(detail.contains("`edges` is added"), "{detail}");
    watch.let_it_run(3);
    fixture.write(CALLS, &before, Save::InPlace);
    watch.wait("nothing-changed");
}

/// The stored closure has one captured number and the running future one local; both go on.
fn values_keep_their_old_code(fixture: &Fixture, watch: &mut Watch) {
    fixture.edit_all(
        CALLS,
        &[
            ("a as u32 * x - 10 + 700", "(a + b) as u32 * x - 30 + 701"),
            ("(size_of_val(&one), size_of_val(&two)), (8, 16)", "(8, 16), (8, 16)"),
        ],
    );
    watch.applied();
    watch.let_it_run(3);
    watch.wait_values(&[("one", "700"), ("two", "800")]);
    fixture.edit(
        TASK,
        "let base = 1000; // EDIT task",
        "let base = 1001; let many = [round; 16]; Yield(false).await; round = many[3];",
    );
    watch.applied();
    watch.let_it_run(3);
    watch.wait_values(&[("task", "1000")]);
}

fn other_functions_are_patched_as_ever(fixture: &Fixture, watch: &mut Watch) {
    fixture.set(CALLS, "two", "800", "801");
    watch.applied();
    watch.wait_values(&[("one", "700"), ("two", "801"), ("task", "1000")]);
    fixture.edit(
        CALLS,
        "pub fn free() -> u32 {\n    100 // EDIT free",
        "pub fn free() -> String {\n    \"text\".repeat(2) // EDIT free",
    );
    watch.applied();
    watch.wait_values(&[("free", "texttext")]);
    fixture.edit(CALLS, "repeat(2)", "repeat(3)");
    watch.applied();
    watch.wait_values(&[("free", "texttexttext")]);
}

fn all(fixture: &Fixture) {
    let mut watch = start(fixture);
    layouts_and_method_tables_are_refused(fixture, &mut watch);
    values_keep_their_old_code(fixture, &mut watch);
    other_functions_are_patched_as_ever(fixture, &mut watch);
    watch.stop();
}

#[test]
fn what_the_program_holds_is_never_misread() {
    all(&Fixture::copy("dispatch"));
}

/// v0 names say nothing of parameters and captures.
#[test]
fn nor_where_names_tell_nothing_of_types() {
    let fixture = Fixture::copy("dispatch");
    let config = fixture.path(".cargo");
    std::fs::create_dir_all(&config).expect("a folder");
    let flags = "[build]\nrustflags = [\"-Csymbol-mangling-version=v0\"]\n";
    std::fs::write(config.join("config.toml"), flags).expect("a file");
    all(&fixture);
}

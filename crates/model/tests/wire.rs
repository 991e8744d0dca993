//! Holds `docs/wire.md` to the tables of names. `make docs` writes it anew.

use std::fs;
use std::path::Path;

#[test]
fn the_wire_document_holds_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire.md");
    let present = fs::read_to_string(&path).unwrap_or_default();
    for (name, _) in gatelens_model::reference::tables() {
        assert!(present.contains(&format!("<!-- table: {name} -->\n")), "no marker for the table {name}");
    }
    let updated = gatelens_model::reference::update(&present);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &updated).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    } else {
        assert!(present == updated, "docs/wire.md is out of date: run `make docs`");
    }
}

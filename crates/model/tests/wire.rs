//! `docs/wire.md` has a place for each table. `make docs` fills them, and its tests compare them.

use std::fs;
use std::path::Path;

#[test]
fn the_wire_document_holds_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire.md");
    let text = fs::read_to_string(&path).unwrap_or_default();
    for (name, _) in gatelens_model::reference::tables() {
        assert!(text.contains(&format!("<!-- table: {name} -->\n")), "no marker for the table {name}");
    }
}

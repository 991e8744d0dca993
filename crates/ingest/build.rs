//! Embeds the page: `dashboard/dist` when it was built, else a placeholder that says how to build it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("../../dashboard/dist");
    let index = dist.join("index.html");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=placeholder.html");
    // Cargo takes a path that does not exist for one that changed: an empty directory stays quiet until it is filled.
    fs::create_dir_all(&dist)?;
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if index.exists() {
        list(&dist, &dist, &mut files)?;
    } else {
        files.push(("index.html".to_owned(), root.join("placeholder.html")));
    }
    files.sort();
    // Copies, so that a page being built anew does not take the files away under the compiler.
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut code = String::from("static ASSETS: &[Asset] = &[\n");
    for (number, (name, path)) in files.iter().enumerate() {
        let copy = out.join(format!("asset-{number}"));
        fs::write(&copy, fs::read(path)?)?;
        let _ = writeln!(code, "    Asset {{ path: {name:?}, bytes: include_bytes!({copy:?}) }},");
    }
    code.push_str("];\n");
    fs::write(out.join("assets.rs"), code)
}

fn list(root: &Path, dir: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.push((name.to_string_lossy().replace('\\', "/"), path));
        }
    }
    Ok(())
}

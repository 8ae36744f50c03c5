//! Embeds the migrations: every `NNNN_name.sql` must exist for both engines.

use std::{collections::BTreeSet, env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let root = Path::new(&root).join("migrations");
    let (sqlite, postgres) = (names(&root.join("sqlite"))?, names(&root.join("postgres"))?);
    if let Some(lonely) = sqlite.symmetric_difference(&postgres).next() {
        return Err(io::Error::other(format!("migration `{lonely}` exists for one engine only")));
    }
    let pairs: String = sqlite
        .iter()
        .map(|name| {
            let file = |engine: &str| root.join(engine).join(name);
            format!(
                "Pair {{ name: {:?}, sqlite: include_str!({:?}), postgres: include_str!({:?}) }},\n",
                name.trim_end_matches(".sql"),
                file("sqlite"),
                file("postgres"),
            )
        })
        .collect();
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("pairs.rs"), format!("&[\n{pairs}]\n"))?;
    // A new file must rebuild the crate, so both directories are watched as a whole.
    print_directive(&root);
    Ok(())
}

fn names(directory: &Path) -> io::Result<BTreeSet<String>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn print_directive(watched: &Path) {
    println!("cargo::rerun-if-changed={}", watched.display());
}

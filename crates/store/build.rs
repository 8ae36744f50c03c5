//! Embeds the migrations: every `NNNN_name.sql` must exist for both engines.

use std::{collections::BTreeSet, env, fmt::Write as _, fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)? + "/migrations";
    let (sqlite, postgres) = (names(&root, "sqlite")?, names(&root, "postgres")?);
    if let Some(lonely) = sqlite.symmetric_difference(&postgres).next() {
        return Err(io::Error::other(format!("migration `{lonely}` exists for one engine only")));
    }
    let mut pairs = String::new();
    for file in &sqlite {
        let name = file.trim_end_matches(".sql");
        let (sqlite, postgres) = (format!("{root}/sqlite/{file}"), format!("{root}/postgres/{file}"));
        writeln!(
            pairs,
            "Pair {{ name: {name:?}, sqlite: include_str!({sqlite:?}), postgres: include_str!({postgres:?}) }},"
        )
        .map_err(io::Error::other)?;
    }
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("pairs.rs"), format!("&[\n{pairs}]\n"))?;
    // A new file must rebuild the crate, so both directories are watched as a whole.
    println!("cargo::rerun-if-changed={root}");
    Ok(())
}

fn names(root: &str, engine: &str) -> io::Result<BTreeSet<String>> {
    let entries = fs::read_dir(Path::new(root).join(engine))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

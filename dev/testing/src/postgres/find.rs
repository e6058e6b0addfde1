//! Where Postgres's programs are.

use super::{fetch, home};
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const OLDEST: u32 = 15;

/// Directories whose children are versions, and where in a child the programs are.
const USUAL_PLACES: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The directory with `postgres` and `initdb`. `PG_BIN` names it, or says `fetch` to pass over the machine's own.
pub fn binaries() -> Result<PathBuf> {
    match env::var_os("PG_BIN").filter(|value| !value.is_empty()) {
        Some(value) if value == "fetch" => fetch::binaries(),
        Some(value) => {
            let directory = PathBuf::from(value);
            let version = version(&directory).with_context(|| format!("PG_BIN={}", directory.display()))?;
            if version < OLDEST {
                bail!("PG_BIN holds PostgreSQL {version}; {OLDEST} or newer is needed");
            }
            Ok(directory)
        }
        None => on_path().or_else(in_the_usual_places).map_or_else(fetch::binaries, Ok),
    }
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .filter_map(|directory| fs::canonicalize(directory.join("postgres")).ok())
        .filter_map(|program| program.parent().map(Path::to_path_buf))
        .find(|directory| usable(directory).is_some())
}

fn in_the_usual_places() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix, programs) in USUAL_PLACES {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                let directory = entry.path().join(programs);
                found.extend(usable(&directory).map(|version| (version, directory)));
            }
        }
    }
    found.into_iter().max().map(|(_, directory)| directory)
}

/// The version, when it is new enough and the server's user may run it.
fn usable(directory: &Path) -> Option<u32> {
    let version = version(directory).ok()?;
    (version >= OLDEST && home::runnable(directory)).then_some(version)
}

/// The major version of a directory that holds both programs.
fn version(directory: &Path) -> Result<u32> {
    let mut major = 0;
    for program in ["initdb", "postgres"] {
        let output = Command::new(directory.join(program)).arg("--version").output()?;
        major = parse_version(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| format!("{program} --version does not name a version"))?;
    }
    Ok(major)
}

/// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, 15.
fn parse_version(line: &str) -> Option<u32> {
    let number = line.split("(PostgreSQL) ").nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_version("initdb (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("something else"), None);
    }
}

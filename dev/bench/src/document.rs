//! docs/measurements.md, where a run's tables are kept for good.

use anyhow::{Context, Result};
use std::fs;
use testing::postgres::target_dir;
use testing::world::root;

const BEGIN: &str = "<!-- signin: begin -->";
const END: &str = "<!-- signin: end -->";

/// Keeps the tables below `target/`, and in docs/measurements.md when they are to be kept for good.
pub fn write(text: &str, record: bool) -> Result<()> {
    fs::write(target_dir().join("bench").join("signin.md"), text)?;
    if !record {
        return Ok(());
    }
    let file = root().join("docs/measurements.md");
    let document = fs::read_to_string(&file)?;
    let (before, rest) = document.split_once(BEGIN).context("docs/measurements.md has no place for it")?;
    let (_, after) = rest.split_once(END).context("docs/measurements.md has no place for it")?;
    Ok(fs::write(file, format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))?)
}

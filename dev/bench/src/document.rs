//! docs/measurements.md, where a run's tables are kept for good.

use anyhow::{Context, Result};
use std::fs;
use testing::postgres::target_dir;
use testing::world::root;

/// Keeps the tables below `target/`, and in docs/measurements.md when they are to be kept for good.
pub fn write(name: &str, text: &str, record: bool) -> Result<()> {
    let kept = target_dir().join("bench");
    fs::create_dir_all(&kept)?;
    fs::write(kept.join(format!("{name}.md")), text)?;
    if !record {
        return Ok(());
    }
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let file = root().join("docs/measurements.md");
    let document = fs::read_to_string(&file)?;
    let missing = || format!("docs/measurements.md has no place for {name}");
    let (before, rest) = document.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(fs::write(file, format!("{before}{begin}\n\n{text}\n{end}{after}"))?)
}

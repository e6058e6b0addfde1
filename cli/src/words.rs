//! How things are said on a terminal.

use std::fmt::Write as _;
use std::io::{Write as _, stderr};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time to the second.
pub fn at(time: OffsetDateTime) -> String {
    let seconds = time.replace_nanosecond(0).unwrap_or(time);
    seconds.format(&Rfc3339).unwrap_or_default()
}

/// `1 store`, `2 stores`, `2 addresses`
pub fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ if what.ends_with('s') => format!("{number} {what}es"),
        _ => format!("{number} {what}s"),
    }
}

/// A line on standard error.
pub fn say(line: &str) {
    // Whoever closed it does not care how things stand.
    let _ = writeln!(stderr(), "{line}");
}

/// Another's text without what a terminal obeys; a dash for none, so that every column has something in it.
pub fn clean(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.replace(char::is_control, " ") }
}

/// Lines whose columns stand one below the other.
pub fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let mut said = String::new();
    for line in lines {
        let mut text = String::new();
        for (place, cell) in line.iter().enumerate() {
            let width = lines.iter().map(|line| line[place].chars().count()).max().unwrap_or_default();
            // A string takes whatever is written to it.
            let _ = write!(text, "{cell:<width$}  ");
        }
        said.push_str(text.trim_end());
        said.push('\n');
    }
    said
}

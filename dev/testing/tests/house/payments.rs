//! What docs/operations.md and the tool say of webhooks and payments is what the code knows.

use crate::source::{Names, Outcome, literals, read, verdict};

const PAGE: &str = "docs/operations.md";
const ADVICE: &str = "cli/src/webhooks/advice.rs";
const INBOX: &str = "shared/src/webhook/inbox.rs";
const REASONS: &str = "pub mod reason {";

/// The strings of a source between two of its lines.
fn said(path: &str, from: &str, to: &str) -> Outcome<Names> {
    let source = read(path)?;
    let part = source.split_once(from).and_then(|(_, rest)| rest.split_once(to));
    let (part, _) = part.ok_or_else(|| format!("{path}: keep `{from}`, and `{to:?}` after it"))?;
    Ok(literals(part).into_iter().map(|(_, word)| word).collect())
}

/// What the first cells of a table name, which begins with this one. A name with an ellipsis stands for many.
fn listed(page: &str, header: &str) -> Outcome<Names> {
    let table = page.split_once(&format!("\n| `{header}` |")).and_then(|(_, rest)| rest.split("\n\n").next());
    let table = table.ok_or_else(|| format!("{PAGE}: keep the table that begins with `{header}`"))?;
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    Ok(names.filter(|name| !name.contains('…')).map(str::to_owned).collect())
}

fn compare(what: &str, known: &Names, listed: &Names) -> Vec<String> {
    let missing = known.difference(listed).map(|name| format!("{PAGE}: list the {what} `{name}`"));
    let left =
        listed.difference(known).map(|name| format!("{PAGE}: there is no {what} `{name}`: take it out"));
    missing.chain(left).collect()
}

#[test]
fn the_events_to_subscribe_to_are_those_that_are_read() -> Outcome {
    let page = read(PAGE)?;
    let blocks = page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
    let listed: Names = lines.map(str::to_owned).collect();
    let known = said("shared/src/stripe/event.rs", "pub const EVENT_TYPES", "];")?;
    let mut problems = compare("event", &known, &listed);
    for version in said("shared/src/stripe/event.rs", "pub const API_VERSION", ";\n")? {
        if !page.contains(&format!("`{version}`")) {
            problems.push(format!("{PAGE}: say that the version to set is `{version}`"));
        }
    }
    verdict(&problems);
    Ok(())
}

#[test]
fn every_word_in_a_column_is_explained() -> Outcome {
    let page = read(PAGE)?;
    let ends = "\n    }\n";
    let mut problems = Vec::new();
    for (what, header, path, from) in [
        ("state of an event", "state", "shared/src/webhook/desk.rs", "fn name(self)"),
        ("state of a payment", "payments.state", "shared/src/payment/state.rs", "fn name(self)"),
        ("kind of a movement", "kind", "shared/src/payment/movement.rs", "fn name(self)"),
    ] {
        problems.extend(compare(what, &said(path, from, ends)?, &listed(&page, header)?));
    }
    let reasons = said(INBOX, REASONS, "\n}\n")?;
    problems.extend(compare("code of an event", &reasons, &listed(&page, "last_error_code")?));
    verdict(&problems);
    Ok(())
}

/// The tool prints what each code means; the providers' own it knows by how they end.
#[test]
fn the_tool_has_advice_for_every_code_of_an_event() -> Outcome {
    let reasons = said(INBOX, REASONS, "\n}\n")?;
    let advice = read(ADVICE)?;
    let arms = advice.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'));
    let arms = arms.filter(|(_, rest)| rest.trim_start().starts_with("=>"));
    // Of a provider's codes it says more of some than how they end.
    let known: Names =
        arms.map(|(code, _)| code.to_owned()).filter(|code| !code.starts_with("STRIPE_")).collect();
    let missing = reasons.difference(&known).map(|code| format!("{ADVICE}: say what `{code}` means"));
    let left = known.difference(&reasons).map(|code| format!("{ADVICE}: no event has `{code}`: take it out"));
    verdict(&missing.chain(left).collect::<Vec<_>>());
    Ok(())
}

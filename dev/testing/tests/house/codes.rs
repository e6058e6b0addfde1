//! Every code a setup can stop with has its row in docs/setup.md.

use crate::source::{Names, Outcome, in_capitals, literals, read, sources, verdict};

const PAGE: &str = "docs/setup.md";
const PROVIDERS_CODES: &str = "shared/src/upstream/error.rs";
/// No setup is left with it: whoever meets it asks whose the wallet is.
const NEVER_SHOWN: &[&str] = &["LND_WALLET_EXISTS"];

/// What stands between `codes! {` and its end.
fn of_providers() -> Outcome<Names> {
    let source = read(PROVIDERS_CODES)?;
    let list = source.split("codes! {").nth(1).and_then(|rest| rest.split('}').next());
    let list = list.ok_or("shared/src/upstream/error.rs: keep the codes in `codes! { … }`")?;
    Ok(list.split(',').map(str::trim).filter(|word| in_capitals(word)).map(str::to_owned).collect())
}

/// What the steps themselves say; a variable they read is no code.
fn of_setups() -> Outcome<Names> {
    let mut codes = Names::new();
    for (_, source) in sources("shared/src/setup", "rs")? {
        let said = literals(&source).into_iter().filter(|(before, _)| !before.contains("config"));
        codes.extend(said.map(|(_, word)| word).filter(|word| in_capitals(word)));
    }
    Ok(codes)
}

#[test]
fn every_code_of_a_setup_has_its_row() -> Outcome {
    let mut codes = of_providers()?;
    codes.extend(of_setups()?);
    codes.retain(|code| !NEVER_SHOWN.contains(&code.as_str()));
    let page = read(PAGE)?;
    let table = page.split("\n| Code |").nth(1).and_then(|rest| rest.split("\n\n").next());
    let table = table.ok_or("docs/setup.md: keep the codes in a table that begins with `| Code |`")?;
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let named: Names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    let fits =
        |name: &str, code: &str| name.strip_prefix('…').map_or(name == code, |end| code.ends_with(end));
    let missing = codes.iter().filter(|code| !named.iter().any(|name| fits(name, code)));
    let missing = missing.map(|code| format!("{code}: give it a row in {PAGE}"));
    let left = named.iter().filter(|name| !codes.iter().any(|code| fits(name, code)));
    let left = left.map(|name| format!("{name} of {PAGE} is said nowhere: take it out"));
    verdict(&missing.chain(left).collect::<Vec<_>>());
    Ok(())
}

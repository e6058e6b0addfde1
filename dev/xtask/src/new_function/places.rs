//! Where a function stands: five files of its own, and its part of three others.

use super::names::{Name, Route, capitalised};
use anyhow::{Context, Result};

pub struct Place {
    pub path: String,
    pub text: String,
}

type Insert = fn(&str, &Name, &Route) -> Result<String>;

pub fn new_files(name: &Name, route: &Route) -> Vec<Place> {
    let files = [
        (format!("functions/{name}/Cargo.toml"), include_str!("../../templates/Cargo.toml.in")),
        (format!("functions/{name}/src/main.rs"), include_str!("../../templates/main.rs.in")),
        (format!("functions/{name}/src/lib.rs"), include_str!("../../templates/lib.rs.in")),
        (format!("functions/{name}/tests/{name}.rs"), include_str!("../../templates/test.rs.in")),
        (format!("events/{name}.json"), include_str!("../../templates/event.json.in")),
    ];
    files.into_iter().map(|(path, template)| Place { path, text: fill(template, name, route) }).collect()
}

pub fn edited_files() -> [(&'static str, Insert); 3] {
    [("template.yaml", resource), ("openapi.yaml", operation), ("README.md", row)]
}

/// The resource goes before the one for unknown routes, which has to know the route as well.
fn resource(template: &str, name: &Name, route: &Route) -> Result<String> {
    let block = fill(include_str!("../../templates/resource.yaml.in"), name, route);
    let with_resource = insert_before(template, "  UnknownRoute:\n", &block).context("template.yaml")?;
    insert_after(&with_resource, "          ROUTES: >-\n", &format!("            {route},\n"))
        .context("template.yaml")
}

/// A path that is there gets another method; a new one goes to the end.
fn operation(openapi: &str, name: &Name, route: &Route) -> Result<String> {
    let block = fill(include_str!("../../templates/operation.yaml.in"), name, route);
    let path = format!("  {}:\n", route.path);
    if openapi.contains(&path) {
        // A blank line ends a path, not a method.
        let block = format!("{}\n", block.trim_end());
        return insert_after(openapi, &path, &block).context("openapi.yaml");
    }
    insert_before(openapi, "components:\n", &format!("{path}{block}")).context("openapi.yaml")
}

fn row(readme: &str, name: &Name, route: &Route) -> Result<String> {
    let row = format!(
        "| `{route}` | [`{name}`](functions/{name}/src/lib.rs) | [events/{name}.json](events/{name}.json) |\n"
    );
    insert_before(readme, "| any other path or method", &row).context("README.md")
}

fn insert_before(text: &str, line: &str, block: &str) -> Result<String> {
    let at = position(text, line)?;
    Ok(format!("{}{block}{}", &text[..at], &text[at..]))
}

fn insert_after(text: &str, line: &str, block: &str) -> Result<String> {
    let at = position(text, line)? + line.len();
    Ok(format!("{}{block}{}", &text[..at], &text[at..]))
}

fn position(text: &str, line: &str) -> Result<usize> {
    let found = text.find(&format!("\n{line}")).map(|at| at + 1);
    found.with_context(|| format!("the place to insert at, `{}`, is gone", line.trim()))
}

fn fill(template: &str, name: &Name, route: &Route) -> String {
    let parameters = route.parameters();
    let in_event: Vec<String> = parameters.iter().map(|name| format!("\"{name}\": \"{name}\"")).collect();
    let described: String = parameters.iter().map(|name| described(name)).collect();
    let described = if described.is_empty() { described } else { format!("      parameters:\n{described}") };
    [
        ("{{name}}", name.to_string()),
        ("{{Name}}", name.pascal()),
        ("{{purpose}}", name.words()),
        ("{{Purpose}}", capitalised(&name.words())),
        ("{{route}}", route.to_string()),
        ("{{method}}", route.method.clone()),
        ("{{method_lower}}", route.method.to_lowercase()),
        ("{{path}}", route.path.clone()),
        ("{{example_path}}", route.example()),
        ("{{path_parameters}}", format!("{{{}}}", in_event.join(", "))),
        ("{{parameters}}", described),
    ]
    .iter()
    .fold(template.to_owned(), |text, (hole, value)| text.replace(hole, value))
}

fn described(name: &str) -> String {
    format!(
        "        - {{ name: {name}, in: path, required: true, schema: {{ type: string, maxLength: 128 }} }}\n"
    )
}

//! One name in every place: directory, resource, route, event, test, README row.

use std::collections::BTreeMap;

use serde_yaml_ng::Value;

use crate::source::{
    Names, Outcome, code, entries, exists, names_in, pascal_case, read, resources, sources, strings, text,
    verdict, yaml,
};

const MAIN_LINES: usize = 20;

#[test]
fn every_function_is_in_every_place() -> Outcome {
    let functions = names_in("functions")?;
    let resources = resources()?;
    let readme = read("README.md")?;
    let mut problems = Vec::new();
    for (id, resource) in &resources {
        if !functions.contains(&resource.name) || *id != pascal_case(&resource.name) {
            problems.push(format!(
                "template.yaml: {id} has the Binary `{}`; the resource is the PascalCase of a directory of functions/, \
                 and the Binary is that directory",
                resource.name
            ));
        }
    }
    for name in &functions {
        let mut must = |holds: bool, what: String| {
            if !holds {
                problems.push(format!("{name}: {what}"));
            }
        };
        let main = read(&format!("functions/{name}/src/main.rs"))?.lines().count();
        must(
            main < MAIN_LINES,
            format!("main.rs has {main} lines; it only wires, so move the rest to lib.rs"),
        );
        let tests = format!("functions/{name}/tests/{name}");
        must(
            exists(&format!("{tests}.rs")) || exists(&format!("{tests}/main.rs")),
            format!("write {tests}.rs, or {tests}/main.rs when it is long"),
        );
        must(exists(&format!("events/{name}.json")), format!("write events/{name}.json"));
        let row =
            readme.lines().find(|line| line.starts_with('|') && line.contains(&format!("functions/{name}/")));
        must(
            row.is_some_and(|row| row.contains(&format!("events/{name}.json"))),
            format!("give it a row in README.md, with functions/{name}/ and events/{name}.json"),
        );
        let Some(resource) = resources.get(&pascal_case(name)) else {
            must(false, format!("give it the resource {} in template.yaml", pascal_case(name)));
            continue;
        };
        let lib = read(&format!("functions/{name}/src/lib.rs"))?;
        let first = lib.lines().next().unwrap_or_default();
        // A resource's routes stand in a table right below, one to a line.
        let table: Vec<&str> = lib
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .filter(|line| line.starts_with("//! | `"))
            .collect();
        let named = |route: &str| {
            let quoted = format!("`{route}`");
            if table.is_empty() {
                first.contains(&quoted)
            } else {
                table.iter().any(|line| line.starts_with(&format!("//! | {quoted}")))
            }
        };
        must(
            first.starts_with("//! ") && first.contains(" — "),
            "begin lib.rs with `//! `METHOD /path` — purpose`".into(),
        );
        for trigger in resource.routes.union(&resource.schedules) {
            must(row.is_some_and(|row| row.contains(trigger)), format!("name `{trigger}` in its README row"));
        }
        for route in &resource.routes {
            must(
                named(route),
                format!("name `{route}` in the first line of lib.rs, or in the table below it"),
            );
        }
        let routed = if table.is_empty() { first.matches('`').count() / 2 } else { table.len() };
        must(
            routed == resource.routes.len(),
            format!("lib.rs names {routed} routes, template.yaml gives it {}", resource.routes.len()),
        );
        let opening = match (resource.routes.is_empty(), resource.schedules.is_empty()) {
            (false, _) => "//! `",
            (true, false) => "//! Every ",
            (true, true) => "//! Invoked ",
        };
        must(first.starts_with(opening), format!("begin lib.rs with {opening}…"));
        if !resource.routes.is_empty() && exists(&format!("events/{name}.json")) {
            let key = text(&yaml(&format!("events/{name}.json"))?["routeKey"]);
            must(
                resource.routes.contains(&key),
                format!("events/{name}.json has the routeKey `{key}`, not its route"),
            );
        }
    }
    for event in names_in("events")? {
        if !functions.contains(event.trim_end_matches(".json")) {
            problems.push(format!("events/{event} belongs to no function: rename or delete it"));
        }
    }
    verdict(&problems);
    Ok(())
}

#[test]
fn the_template_and_openapi_have_the_same_routes() -> Outcome {
    let mut routed = BTreeMap::new();
    for resource in resources()?.into_values() {
        let name = resource.name;
        routed.extend(
            resource
                .routes
                .into_iter()
                .filter(|route| route != "$default")
                .map(|route| (route, name.clone())),
        );
    }
    let openapi = yaml("openapi.yaml")?;
    let mut written = BTreeMap::new();
    for (path, operations) in entries(&openapi["paths"]) {
        for (method, operation) in entries(operations) {
            written.insert(format!("{} {path}", method.to_uppercase()), text(&operation["operationId"]));
        }
    }
    let mut problems = Vec::new();
    for (route, name) in &routed {
        let named = |id: &String| id == name || id.starts_with(&format!("{name}_"));
        match written.get(route) {
            None => {
                problems.push(format!("{route} ({name}) is in template.yaml: describe it in openapi.yaml"));
            }
            Some(id) if !named(id) => {
                problems.push(format!("{route}: the operationId `{id}` should be `{name}`"));
            }
            Some(_) => {}
        }
    }
    let unserved = written.keys().filter(|route| !routed.contains_key(*route));
    problems.extend(unserved.map(|route| format!("{route} is in openapi.yaml, and no function serves it")));
    verdict(&problems);
    Ok(())
}

/// What a variable's value is made of, as a pattern of `!Sub`.
fn form(value: &Value) -> String {
    match value {
        Value::String(literal) => literal.clone(),
        Value::Tagged(tagged) => match (tagged.tag.to_string().trim_start_matches('!'), &tagged.value) {
            ("Ref", _) => format!("${{{}}}", text(value)),
            ("Sub", _) => text(value),
            // The separator says nothing, nor does the condition's name.
            ("Join" | "If", Value::Sequence(parts)) => parts.iter().skip(1).map(form).collect(),
            _ => String::from("${?}"),
        },
        _ => String::from("${?}"),
    }
}

#[test]
fn a_function_is_given_what_it_names_and_may_read_no_other_secret() -> Outcome {
    let parameters = entries(&yaml("template.yaml")?["Parameters"]).map(|(name, _)| name).collect::<Names>();
    let mut problems = Vec::new();
    for (id, resource) in resources()? {
        let mut named = Names::new();
        for (variable, value) in &resource.environment {
            let form = form(value);
            for part in form.split("${").skip(1) {
                if !part.split('}').next().is_some_and(|name| parameters.contains(name)) {
                    problems.push(format!(
                        "{id}: write {variable} as a literal, or with !Ref, !Sub, !Join or !If of parameters"
                    ));
                }
            }
            if variable.ends_with("_SECRET") {
                named.insert(form);
            }
        }
        let readable = strings(&resource.policies).into_iter().filter_map(|resource| {
            let (_, name) = resource.split_once(":secret:")?;
            Some(name.trim_end_matches("-??????").to_owned())
        });
        let readable = readable.collect::<Names>();
        for secret in named.symmetric_difference(&readable) {
            problems.push(format!(
                "{id}: `{secret}` must stand both in its environment and in its policy, or in neither"
            ));
        }
    }
    verdict(&problems);
    Ok(())
}

#[test]
fn the_error_codes_are_one_list() -> Outcome {
    let is_code = |word: &&str| word.len() > 4 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let files = sources("shared/src/http", "rs")?;
    let holder = files.iter().find(|(_, text)| text.contains("enum ErrorCode"));
    let (place, source) = holder.ok_or("shared/src/http: keep the codes in `enum ErrorCode`")?;
    let source = code(source).collect::<Vec<_>>().join("\n");
    let thrown = source.split('"').skip(1).step_by(2).filter(is_code).map(str::to_owned).collect::<Names>();
    let openapi = yaml("openapi.yaml")?;
    let promised =
        strings(&openapi["components"]["schemas"]["ErrorCode"]["enum"]).into_iter().collect::<Names>();
    let page = read("docs/api.md")?;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let explained = rows.filter(is_code).map(str::to_owned).collect::<Names>();
    let mut problems = Vec::new();
    for (list, found) in [("the enum in openapi.yaml", &promised), ("the table in docs/api.md", &explained)] {
        let missing = thrown.difference(found).map(|code| format!("{code}: add it to {list}"));
        let left =
            found.difference(&thrown).map(|code| format!("{code} is not in {place}: take it out of {list}"));
        problems.extend(missing.chain(left));
    }
    verdict(&problems);
    Ok(())
}

#[test]
fn the_function_for_unknown_routes_knows_the_others() -> Outcome {
    let resources = resources()?;
    let mut routed = Names::new();
    for resource in resources.values() {
        routed.extend(resource.routes.iter().filter(|route| *route != "$default").cloned());
    }
    let told = resources.get("UnknownRoute").and_then(|resource| resource.environment.get("ROUTES"));
    let told = text(told.unwrap_or(&Value::Null));
    let told = told.split(',').map(|route| route.trim().to_owned()).collect::<Names>();
    let strays = routed.symmetric_difference(&told);
    let problem = |route| {
        format!("template.yaml: `{route}` must be both a function's route and in UnknownRoute's ROUTES")
    };
    verdict(&strays.map(problem).collect::<Vec<_>>());
    Ok(())
}

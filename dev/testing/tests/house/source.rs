//! Reading the house: its files, and the two descriptions of its routes.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;
pub type Names = BTreeSet<String>;

/// Tests run in their package's directory.
const ROOT: &str = "../..";

pub fn exists(path: &str) -> bool {
    Path::new(ROOT).join(path).is_file()
}

pub fn read(path: &str) -> Outcome<String> {
    fs::read_to_string(Path::new(ROOT).join(path)).map_err(|error| format!("{path}: {error}").into())
}

pub fn yaml(path: &str) -> Outcome<Value> {
    serde_yaml_ng::from_str(&read(path)?).map_err(|error| format!("{path}: {error}").into())
}

/// Every file below `directory` with this extension: path from the root, and text.
pub fn sources(directory: &str, extension: &str) -> Outcome<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(directory)];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(Path::new(ROOT).join(&directory)) else { continue };
        for entry in entries {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            let skipped = ["target", "node_modules"].iter().any(|name| path.ends_with(name));
            if entry.file_type()?.is_dir() && !skipped {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let path = path.to_string_lossy().into_owned();
                let text = read(&path)?;
                found.push((path, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

pub fn rust(directories: &[&str]) -> Outcome<Vec<(String, String)>> {
    let found: Outcome<Vec<_>> = directories.iter().map(|directory| sources(directory, "rs")).collect();
    Ok(found?.concat())
}

pub fn names_in(directory: &str) -> Outcome<Names> {
    let entries =
        fs::read_dir(Path::new(ROOT).join(directory)).map_err(|error| format!("{directory}: {error}"))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// The lines that are neither blank nor comment.
pub fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
}

/// The strings in what is neither comment nor test, each with the line's text before it, or the line before when it
/// begins its own.
pub fn literals(source: &str) -> Vec<(String, String)> {
    let product = source.split("#[cfg(test)]").next().unwrap_or_default();
    let (mut found, mut before) = (Vec::new(), String::new());
    for line in code(product) {
        for (at, part) in line.split('"').enumerate() {
            if at % 2 == 1 {
                found.push((before.trim_end().to_owned(), part.to_owned()));
            } else if at > 0 || !part.trim().is_empty() {
                part.clone_into(&mut before);
            }
        }
    }
    found
}

/// `LIKE_THIS`, as codes and variables are.
pub fn in_capitals(word: &str) -> bool {
    word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

pub fn pascal_case(name: &str) -> String {
    let word =
        |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect();
    name.split('_').map(word).collect::<Vec<String>>().concat()
}

/// One function as `template.yaml` has it.
pub struct Resource {
    pub name: String,
    pub routes: Names,
    pub schedules: Names,
    pub environment: BTreeMap<String, Value>,
    pub policies: Value,
}

pub fn text(value: &Value) -> String {
    match value {
        Value::Tagged(tagged) => text(&tagged.value),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

pub fn entries(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value.as_mapping().into_iter().flatten().map(|(key, value)| (text(key), value))
}

/// The functions of the template by their logical ids.
pub fn resources() -> Outcome<BTreeMap<String, Resource>> {
    let template = yaml("template.yaml")?;
    let functions = entries(&template["Resources"])
        .filter(|(_, resource)| text(&resource["Type"]).ends_with("::Function"));
    let resource = |resource: &Value| {
        let properties = &resource["Properties"];
        let (mut routes, mut schedules) = (Names::new(), Names::new());
        for (_, event) in entries(&properties["Events"]) {
            let event = &event["Properties"];
            match (text(&event["Path"]), text(&event["Schedule"])) {
                (path, _) if path == "$default" => _ = routes.insert(path),
                (_, schedule) if !schedule.is_empty() => _ = schedules.insert(schedule),
                (path, _) => _ = routes.insert(format!("{} {path}", text(&event["Method"]))),
            }
        }
        Resource {
            name: text(&resource["Metadata"]["BuildProperties"]["Binary"]),
            routes,
            schedules,
            environment: entries(&properties["Environment"]["Variables"])
                .map(|(k, v)| (k, v.clone()))
                .collect(),
            policies: properties["Policies"].clone(),
        }
    };
    Ok(functions.map(|(id, value)| (id, resource(value))).collect())
}

/// All strings in a value, however deep.
pub fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Tagged(tagged) => strings(&tagged.value),
        Value::Sequence(items) => items.iter().flat_map(strings).collect(),
        Value::Mapping(map) => map.values().flat_map(strings).collect(),
        other => vec![text(other)],
    }
}

pub fn verdict(problems: &[String]) {
    assert!(problems.is_empty(), "\n\n{}\n", problems.join("\n"));
}

//! What `openapi.yaml` promises, as a test reads it: each operation, who may call it, and a good request to it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::Value;
use testing::world;

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

/// Who is asked for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nobody.
    Open,
    /// Whoever wants to be known.
    Either,
    /// Everybody.
    Bearer,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub method: Method,
    pub path: String,
    pub door: Door,
    /// For administrators alone (`x-scope: admin`).
    pub admin: bool,
    /// Names of the required parameters in the query, each with its example.
    pub query: Vec<(String, String)>,
    /// The example of its body; behind a token there is one wherever a body is needed.
    pub body: Option<Value>,
}

impl Operation {
    /// `POST /v1/nodes`.
    pub fn route(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Names of the parameters in its path, each with the segment before it.
    pub fn parameters(&self) -> Vec<(&str, &str)> {
        let segments: Vec<&str> = self.path.split('/').collect();
        let named = |pair: &[&'_ str]| pair[1].starts_with('{');
        let pairs = segments.windows(2).filter(|pair| named(pair));
        pairs.map(|pair| (pair[0], pair[1].trim_matches(['{', '}']))).collect()
    }

    /// Its path with something in place of each parameter.
    pub fn path_with(&self, mut value: impl FnMut(&str, &str) -> Result<String>) -> Result<String> {
        let mut path = self.path.clone();
        for (before, name) in self.parameters() {
            path = path.replace(&format!("{{{name}}}"), &value(before, name)?);
        }
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) })
    }
}

/// Every operation, by path.
pub fn operations() -> Result<Vec<Operation>> {
    let text = std::fs::read_to_string(world::root().join("openapi.yaml"))?;
    let document: Value = serde_yaml_ng::from_str(&text).context("openapi.yaml")?;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().context("no paths")? {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let route = format!("{} {path}", method.to_uppercase());
            let read = read(&document, path, method, operation);
            operations.push(read.with_context(|| route.clone())?);
        }
    }
    let routes: BTreeSet<String> = operations.iter().map(Operation::route).collect();
    ensure!(routes.len() == operations.len(), "an operation twice");
    Ok(operations)
}

fn read(document: &Value, path: &str, method: &str, operation: &Value) -> Result<Operation> {
    let door = door(&operation["security"])?;
    let body = resolved(document, &operation["requestBody"]);
    let example = example_of(document, body);
    let lacks_one = body["required"] == true && example.is_none();
    ensure!(!lacks_one || door == Door::Open, "give its body an example in openapi.yaml");
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = resolved(document, parameter);
        if parameter["in"] == "query" && parameter["required"] == true {
            let name = parameter["name"].as_str().context("a parameter without a name")?;
            let example = parameter["example"].as_str().or(parameter["schema"]["example"].as_str());
            let example = example.with_context(|| format!("give {name} an example in openapi.yaml"))?;
            query.push((name.to_owned(), example.to_owned()));
        }
    }
    Ok(Operation {
        method: Method::from_bytes(method.to_uppercase().as_bytes())?,
        path: path.to_owned(),
        door,
        admin: operation["x-scope"] == "admin",
        query,
        body: example,
    })
}

fn door(security: &Value) -> Result<Door> {
    let ways = security.as_array().context("say who may call it: security")?;
    let with_token = ways.iter().filter(|way| way.get("bearer").is_some()).count();
    Ok(match (ways.len(), with_token) {
        (0, _) => Door::Open,
        (all, some) if all == some => Door::Bearer,
        (_, 0) => anyhow::bail!("a way in that is not known here: {security}"),
        _ => Door::Either,
    })
}

/// The first example of a JSON body: beside its schema, or in it.
fn example_of(document: &Value, body: &Value) -> Option<Value> {
    let json = body.pointer("/content/application~1json")?;
    let first =
        || json["examples"].as_object()?.values().next().map(|one| resolved(document, one)["value"].clone());
    let schema = || resolved(document, &json["schema"]).get("example").cloned();
    json.get("example").cloned().or_else(first).or_else(schema)
}

fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let path = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    path.and_then(|path| document.pointer(path)).unwrap_or(value)
}

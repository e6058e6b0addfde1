//! What `template.yaml` says: the functions, their routes, schedules and environment, and the API's CORS.

use crate::{
    REGION,
    cors::Cors,
    intrinsics::{Scope, entries, long_form, text},
    route::Route,
    schedule::Schedule,
};
use anyhow::Context;
use serde_yaml_ng::Value;
use std::{collections::BTreeMap, path::Path, time::Duration};

/// A SAM template, as far as running it here needs it.
#[derive(Clone, Debug, Default)]
pub struct Template {
    pub functions: Vec<Function>,
    pub cors: Option<Cors>,
}

/// One `AWS::Serverless::Function`.
#[derive(Clone, Debug)]
pub struct Function {
    /// The logical id in snake case; the function goes by this name here.
    pub name: String,
    pub logical_id: String,
    /// `Metadata.BuildProperties.Binary`, else the name.
    pub binary: String,
    pub routes: Vec<Route>,
    pub schedules: Vec<Schedule>,
    /// A value that only the cloud knows is an empty text.
    pub environment: BTreeMap<String, String>,
    pub timeout: Duration,
    pub memory_mb: u32,
    pub reserved_concurrency: Option<usize>,
}

impl Template {
    /// Reads a template. `parameters` go before the defaults of its `Parameters`.
    pub fn load(path: impl AsRef<Path>, parameters: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let path = path.as_ref();
        let yaml = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&yaml, parameters).with_context(|| path.display().to_string())
    }

    /// [`Template::load`], from text.
    pub fn parse(yaml: &str, parameters: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let document = long_form(serde_yaml_ng::from_str(yaml)?);
        let scope = Scope::new(&document, parameters, REGION);
        let globals = &document["Globals"];
        let mut template = Self { cors: Cors::read(&scope.resolve(&globals["HttpApi"])), ..Self::default() };
        for (logical_id, resource) in entries(&document["Resources"]) {
            if resource["Condition"].as_str().is_some_and(|condition| !scope.holds(condition)) {
                continue;
            }
            match resource["Type"].as_str() {
                Some("AWS::Serverless::HttpApi") => {
                    let own = Cors::read(&scope.resolve(&resource["Properties"]));
                    template.cors = own.or(template.cors);
                }
                Some("AWS::Serverless::Function") => template.functions.push(
                    Function::read(logical_id, resource, &globals["Function"], &scope)
                        .with_context(|| format!("the function {logical_id}"))?,
                ),
                _ => {}
            }
        }
        Ok(template)
    }

    /// The function of this name or logical id.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name || function.logical_id == name)
    }
}

impl Function {
    fn read(logical_id: &str, resource: &Value, globals: &Value, scope: &Scope) -> anyhow::Result<Self> {
        let own = &resource["Properties"];
        let number = |key: &str, default: u32| -> anyhow::Result<u32> {
            let value = scope.resolve_text(&own[key]).or_else(|| scope.resolve_text(&globals[key]));
            value.map_or(Ok(default), |value| value.parse().with_context(|| format!("{key}: {value}")))
        };
        let name = snake_case(logical_id);
        let binary = text(&resource["Metadata"]["BuildProperties"]["Binary"]);
        let mut function = Self {
            binary: binary.unwrap_or_else(|| name.clone()),
            name,
            logical_id: logical_id.to_owned(),
            routes: Vec::new(),
            schedules: Vec::new(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(number("Timeout", 3)?.into()),
            memory_mb: number("MemorySize", 128)?,
            reserved_concurrency: scope
                .resolve_text(&own["ReservedConcurrentExecutions"])
                .and_then(|value| value.parse().ok()),
        };
        for variables in [&globals["Environment"]["Variables"], &own["Environment"]["Variables"]] {
            for (name, value) in entries(variables) {
                function.environment.insert(name.to_owned(), scope.resolve_text(value).unwrap_or_default());
            }
        }
        for (name, event) in entries(&own["Events"]) {
            let properties = scope.resolve(&event["Properties"]);
            match event["Type"].as_str() {
                Some("HttpApi") => {
                    let path = properties["Path"].as_str().unwrap_or("$default");
                    let method = properties["Method"].as_str().unwrap_or("ANY");
                    function
                        .routes
                        .push(Route::new(method, path).with_context(|| format!("the event {name}"))?);
                }
                Some(kind @ ("Schedule" | "ScheduleV2")) => {
                    function.schedules.push(Schedule::read(kind, name, &properties)?);
                }
                _ => {}
            }
        }
        Ok(function)
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    let mut previous = None::<char>;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && previous.is_some_and(|p| !p.is_ascii_uppercase()) {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
        previous = Some(letter);
    }
    out
}

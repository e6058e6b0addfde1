//! What a value of the template comes to: parameters, conditions and functions (`!Ref`, `!Sub`, `!If` …).
//!
//! Anything that only the cloud knows (`!GetAtt`, `!ImportValue`, the `!Ref` of a resource) comes to `Null`.

use serde_yaml_ng::{Mapping, Value};
use std::collections::BTreeMap;

/// The names a template's values may speak of.
pub(crate) struct Scope {
    names: BTreeMap<String, Value>,
    conditions: Value,
    mappings: Value,
}

impl Scope {
    /// Reads `Parameters`, `Conditions` and `Mappings`; `given` wins over a parameter's default.
    pub(crate) fn new(template: &Value, given: &BTreeMap<String, String>, region: &str) -> Self {
        let mut names: BTreeMap<String, Value> = [
            ("AWS::Region", region),
            ("AWS::AccountId", crate::ACCOUNT),
            ("AWS::Partition", "aws"),
            ("AWS::StackName", "local"),
            ("AWS::URLSuffix", "amazonaws.com"),
        ]
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .into();
        for (name, parameter) in entries(&template["Parameters"]) {
            let default = text(&parameter["Default"]);
            if let Some(value) = given.get(name).cloned().or(default) {
                let list = parameter["Type"].as_str().is_some_and(|kind| kind.contains("List"));
                names.insert(name.to_owned(), if list { split(&value, ",") } else { Value::from(value) });
            }
        }
        Self { names, conditions: template["Conditions"].clone(), mappings: template["Mappings"].clone() }
    }

    pub(crate) fn resolve(&self, value: &Value) -> Value {
        if let Some((function, argument)) = call(value) {
            return self.apply(function, argument).unwrap_or(Value::Null);
        }
        match value {
            Value::Sequence(items) => items.iter().map(|item| self.resolve(item)).collect::<Vec<_>>().into(),
            Value::Mapping(map) => {
                map.iter().map(|(key, value)| (key.clone(), self.resolve(value))).collect::<Mapping>().into()
            }
            other => other.clone(),
        }
    }

    pub(crate) fn resolve_text(&self, value: &Value) -> Option<String> {
        text(&self.resolve(value))
    }

    /// Whether the condition of this name holds; one that is not declared does.
    pub(crate) fn holds(&self, condition: &str) -> bool {
        self.conditions.get(condition).is_none_or(|expression| self.is_true(expression))
    }

    fn apply(&self, function: &str, argument: &Value) -> Option<Value> {
        match function {
            "Ref" => self.names.get(argument.as_str()?).cloned(),
            "Sub" => self.substitute(argument).map(Value::from),
            "If" => {
                Some(self.resolve(argument.get(if self.holds(argument[0].as_str()?) { 1 } else { 2 })?))
            }
            "Join" => {
                let parts: Option<Vec<String>> =
                    self.resolve(&argument[1]).as_sequence()?.iter().map(text).collect();
                Some(parts?.join(argument[0].as_str()?).into())
            }
            "Split" => Some(split(&self.resolve_text(&argument[1])?, argument[0].as_str()?)),
            "Select" => {
                let index: usize = self.resolve_text(&argument[0])?.parse().ok()?;
                self.resolve(&argument[1]).get(index).cloned()
            }
            "FindInMap" => {
                let keys: Option<Vec<String>> =
                    argument.as_sequence()?.iter().map(|key| self.resolve_text(key)).collect();
                let found = keys?.iter().try_fold(&self.mappings, |map, key| map.get(key.as_str()));
                found.map(|value| self.resolve(value))
            }
            _ => None,
        }
    }

    /// `${Name}` is replaced, `${!Name}` is kept as `${Name}`.
    fn substitute(&self, argument: &Value) -> Option<String> {
        let pattern = argument.as_str().or_else(|| argument.get(0)?.as_str())?;
        let mut out = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after.split_once('}')?;
            out.push_str(before);
            rest = tail;
            if let Some(literal) = name.strip_prefix('!') {
                out.extend(["${", literal, "}"]);
                continue;
            }
            let own = argument.get(1).and_then(|names| names.get(name)).map(|value| self.resolve(value));
            out.push_str(&text(own.as_ref().or_else(|| self.names.get(name))?)?);
        }
        out.push_str(rest);
        Some(out)
    }

    fn is_true(&self, expression: &Value) -> bool {
        let Some((function, argument)) = call(expression) else { return false };
        let all = || argument.as_sequence().into_iter().flatten();
        match function {
            "Equals" => self.resolve_text(&argument[0]) == self.resolve_text(&argument[1]),
            "Not" => !self.is_true(&argument[0]),
            "And" => all().all(|item| self.is_true(item)),
            "Or" => all().any(|item| self.is_true(item)),
            "Condition" => argument.as_str().is_some_and(|name| self.holds(name)),
            _ => false,
        }
    }
}

/// The function a value calls, and its argument.
fn call(value: &Value) -> Option<(&str, &Value)> {
    let (name, argument) =
        value.as_mapping().filter(|map| map.len() == 1).and_then(|map| map.iter().next())?;
    let name = name.as_str()?;
    match name {
        "Ref" | "Condition" => Some((name, argument)),
        _ => Some((name.strip_prefix("Fn::")?, argument)),
    }
}

/// Turns the short form `!Name argument` into the long one, `{Fn::Name: argument}`, all the way down.
pub(crate) fn long_form(value: Value) -> Value {
    match value {
        Value::Tagged(tagged) => {
            let name = match tagged.tag.to_string().trim_start_matches('!') {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            Mapping::from_iter([(Value::from(name), long_form(tagged.value))]).into()
        }
        Value::Sequence(items) => items.into_iter().map(long_form).collect::<Vec<_>>().into(),
        Value::Mapping(map) => {
            map.into_iter().map(|(key, value)| (key, long_form(value))).collect::<Mapping>().into()
        }
        other => other,
    }
}

/// The pairs of a mapping whose keys are text.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_mapping().into_iter().flatten().filter_map(|(key, value)| Some((key.as_str()?, value)))
}

pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn split(text: &str, separator: &str) -> Value {
    text.split(separator).map(|part| Value::from(part.trim())).collect::<Vec<_>>().into()
}

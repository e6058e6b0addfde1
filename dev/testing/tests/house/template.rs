//! What the template says of every function: it is watched, and it is given what the code reads.

use std::collections::BTreeSet;

use serde_yaml_ng::Value;

use crate::source::{
    Names, Outcome, entries, in_capitals, literals, read, resources, rust, text, verdict, yaml,
};

/// An alarm that adds metrics up takes no more of them.
const MOST_METRICS: usize = 10;
const OF_JOBS: &str = "JobErrorsAlarm";

/// Read and given to no function: what is right in a deployment is the default, and tests and the sandbox have another.
const LEFT_TO_THE_DEFAULT: &[&str] = &[
    "ALLOW_HTTP_PROVIDERS",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "SETUP_POLL_MILLISECONDS",
    "SETUP_RUN_SECONDS",
    "UPSTREAM_RETRY_MILLISECONDS",
];
/// Lambda gives it.
const OF_LAMBDA: &[&str] = &["AWS_SESSION_TOKEN"];
/// What a variable is read with.
const READERS: &[&str] = &[".text(", ".optional(", ".number(", ".seconds(", ".flag(", ".choice(", ">("];

struct Watched {
    alarm: String,
    metric: String,
    /// The function's resource.
    function: String,
}

fn alarms() -> Outcome<Vec<(String, Value)>> {
    let template = yaml("template.yaml")?;
    let alarms = entries(&template["Resources"])
        .filter(|(_, resource)| text(&resource["Type"]) == "AWS::CloudWatch::Alarm")
        .map(|(id, resource)| (id, resource["Properties"].clone()));
    Ok(alarms.collect())
}

fn metrics(alarm: &Value) -> Vec<&Value> {
    let items = alarm["Metrics"].as_sequence().into_iter().flatten();
    items.map(|item| &item["MetricStat"]["Metric"]).filter(|metric| !metric.is_null()).collect()
}

#[test]
fn every_function_is_watched() -> Outcome {
    let mut problems = Vec::new();
    let mut watched = Vec::new();
    for (alarm, properties) in alarms()? {
        let metrics = metrics(&properties);
        if metrics.len() > MOST_METRICS {
            problems.push(format!(
                "{alarm} adds up {} metrics, and CloudWatch takes {MOST_METRICS}",
                metrics.len()
            ));
        }
        for metric in metrics.into_iter().filter(|metric| text(&metric["Namespace"]) == "AWS/Lambda") {
            let function = text(&metric["Dimensions"][0]["Value"]);
            watched.push(Watched { alarm: alarm.clone(), metric: text(&metric["MetricName"]), function });
        }
    }
    for (id, resource) in resources()? {
        let behind_a_route = !resource.routes.is_empty();
        let wanted: &[&str] = if behind_a_route { &["Errors", "Throttles"] } else { &["Errors"] };
        for metric in wanted {
            let of_this = |seen: &&Watched| seen.function == id && seen.metric == *metric;
            let seen: Vec<_> = watched.iter().filter(of_this).map(|seen| seen.alarm.as_str()).collect();
            match seen.as_slice() {
                [alarm] if (*alarm == OF_JOBS) != behind_a_route => {}
                [] => problems.push(format!("template.yaml: no alarm watches the {metric} of {id}")),
                others => problems.push(format!(
                    "template.yaml: the {metric} of {id} are watched by {}; {OF_JOBS} is for functions behind no \
                     route, and one alarm is enough",
                    others.join(", ")
                )),
            }
        }
    }
    verdict(&problems);
    Ok(())
}

#[test]
fn every_alarm_says_what_to_do() -> Outcome {
    let page = read("docs/operations.md")?;
    let alarms = alarms()?.into_iter().map(|(id, _)| id).collect::<Names>();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let named = cells.flat_map(|cell| cell.split('`')).filter(|name| name.ends_with("Alarm"));
    let explained = named.map(str::to_owned).collect::<Names>();
    let missing =
        alarms.difference(&explained).map(|name| format!("{name}: give it a row in docs/operations.md"));
    let left = explained
        .difference(&alarms)
        .map(|name| format!("{name} of docs/operations.md is not in template.yaml"));
    verdict(&missing.chain(left).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn what_is_read_is_given_and_what_is_given_is_read() -> Outcome {
    let resources = resources()?;
    let template = yaml("template.yaml")?;
    let for_all = entries(&template["Globals"]["Function"]["Environment"]["Variables"]).map(|(name, _)| name);
    let for_all = for_all.collect::<Names>();
    let mut given = for_all.clone();
    for resource in resources.values() {
        given.extend(resource.environment.keys().cloned());
    }
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for (path, source) in rust(&["shared/src", "functions"])? {
        if path.contains("/tests/") || path.ends_with("tests.rs") {
            continue;
        }
        let function = path.strip_prefix("functions/").and_then(|path| path.split('/').next());
        let resource = resources.values().find(|resource| Some(resource.name.as_str()) == function);
        for (before, name) in literals(&source) {
            if READERS.iter().any(|reader| before.ends_with(reader)) && in_capitals(&name) {
                let is_left =
                    LEFT_TO_THE_DEFAULT.contains(&name.as_str()) || OF_LAMBDA.contains(&name.as_str());
                let is_given = match resource {
                    Some(resource) => resource.environment.contains_key(&name) || for_all.contains(&name),
                    None => given.contains(&name),
                };
                if !is_given && !is_left {
                    problems.push(format!("{path} reads {name}, which template.yaml does not give"));
                }
            }
            known.insert(name);
        }
    }
    let unread = given.difference(&known);
    problems.extend(unread.map(|name| format!("template.yaml gives {name}, which nothing reads")));
    let gone = LEFT_TO_THE_DEFAULT.iter().chain(OF_LAMBDA).filter(|name| !known.contains(**name));
    problems.extend(gone.map(|name| format!("nothing reads {name}: take it out of this file")));
    verdict(&problems);
    Ok(())
}

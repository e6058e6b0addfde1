//! What is read from a template.

use gateway::Template;
use std::{collections::BTreeMap, time::Duration};

fn load(parameters: &[(&str, &str)]) -> Template {
    read(parameters).unwrap_or_else(|error| panic!("{error:#}"))
}

fn read(parameters: &[(&str, &str)]) -> anyhow::Result<Template> {
    let parameters =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Template::load(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/template.yaml"), &parameters)
}

#[test]
fn environment_values_are_resolved_as_far_as_they_can_be_here() {
    let template = load(&[]);
    let environment = &template.function("echo_things").unwrap().environment;
    let expected = [
        ("ISSUER", "https://us-east-1.test/${Kept}"),
        ("LEVEL", "debug"),
        ("LIST", "a-dev"),
        ("LITERAL", "plain"),
        ("LONG", "other"),
        ("NUMBER", "300"),
        ("OVERRIDDEN", "from the template"),
        ("SECRET", ""),
        ("STAGE", "dev"),
        ("URL", ""),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(environment, &expected);
}

#[test]
fn parameters_given_win_over_their_defaults() {
    let template = load(&[("Stage", "prod"), ("Domain", "satchel.test")]);
    let environment = &template.function("EchoThings").unwrap().environment;
    assert_eq!(environment["ISSUER"], "https://satchel.test/x");
    assert_eq!(environment["LEVEL"], "info");
    assert_eq!(environment["LONG"], "satchel.test");
    assert!(template.function("only_in_prod").is_some());
    assert!(load(&[]).function("only_in_prod").is_none());
}

#[test]
fn a_function_has_its_routes_schedules_and_limits() {
    let template = load(&[]);
    let echo = template.function("echo_things").unwrap();
    let keys: Vec<_> = echo.routes.iter().map(gateway::Route::key).collect();
    assert_eq!(keys, ["GET /v1/things/{id}", "POST /v1/things"]);
    assert_eq!((echo.timeout, echo.memory_mb), (Duration::from_secs(5), 256));
    assert_eq!(echo.binary, "gateway_probe");

    let clean_up = template.function("clean_up").unwrap();
    assert_eq!(clean_up.reserved_concurrency, Some(1));
    assert_eq!(clean_up.schedules[0].every, Some(Duration::from_secs(1)));
    assert!(clean_up.schedules[0].enabled && !clean_up.schedules[1].enabled);
    assert_eq!(clean_up.schedules[1].event(), r#"{"night":true}"#);

    let default = &template.function("unknown_route").unwrap().routes[0];
    assert!(default.is_default());
    assert_eq!(template.function("only_in_prod").map(|only| only.binary.clone()), None);
}

#[test]
fn the_allowed_origins_of_a_list_parameter_are_a_list() {
    assert_eq!(load(&[]).cors.unwrap().allow_origins, ["https://a.test", "https://b.test"]);
    assert!(load(&[("Origins", "")]).cors.is_none());
}

#[test]
fn a_template_that_is_not_there_or_not_yaml_is_an_error_that_names_it() {
    let error = Template::load("/nowhere/template.yaml", &BTreeMap::new()).unwrap_err();
    assert!(format!("{error:#}").contains("/nowhere/template.yaml"));
    assert!(Template::parse("Resources: [", &BTreeMap::new()).is_err());
}

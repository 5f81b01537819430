//! The vectors about the choice of nodes and the pauses between retries.

mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::FutureExt;
use gen_api::{
    call::retry::Backoff,
    clock::ManualClock,
    model::{FunConfig, Mfa, Nodes, Request},
    node::{Node, NodeError, NodeResolver, NodeSelector, NodeSettings},
};
use serde_json::{Map, Value};
use support::{Case, field, only_keys, run, same};

#[test]
fn node_selection_conforms() {
    run(
        "node_selection.json",
        |case| case.when.contains_key("steps"),
        select,
    );
}

#[test]
fn pauses_conform() {
    run(
        "node_selection.json",
        |case| !case.when.contains_key("steps"),
        pauses,
    );
}

/// What a step was answered: nothing, one node, a list of nodes, or one node for each repetition.
enum Answer {
    Done,
    Node(Result<Node, NodeError>),
    Nodes(Result<Vec<Node>, NodeError>),
    Picks(Result<Vec<Node>, NodeError>),
}

fn select(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["configs"])?;
    only_keys(&case.when, &["steps"])?;
    only_keys(&case.expect, &["checks"])?;
    let mut configs: Map<String, Value> = field(&case.given, "configs")?;
    let clock = ManualClock::new();
    let resolver = NodeResolver::new(resolvers, Arc::new(clock.clone()), NodeSettings::default());
    let selector = NodeSelector::new(resolver);
    let steps: Vec<Map<String, Value>> = field(&case.when, "steps")?;
    let answers = steps
        .iter()
        .map(|given| step(given, &mut configs, &clock, &selector))
        .collect::<Result<Vec<_>, _>>()?;
    let checks: Vec<Map<String, Value>> = field(&case.expect, "checks")?;
    checks.iter().try_for_each(|given| {
        check(given, &answers).map_err(|reason| {
            let given = Value::Object(given.clone());
            format!("{given}: {reason}")
        })
    })
}

/// The resolvers that the page of the vectors describes.
async fn resolvers(resolver: Mfa) -> Result<Value, String> {
    match (resolver.module.as_str(), resolver.function.as_str()) {
        ("Resolvers", "fixed") => resolver.args.into_iter().next().ok_or("no value".into()),
        ("Resolvers", "raises") => panic!("kaboom"),
        _ => Err(format!("there is no function {resolver}")),
    }
}

fn step(
    step: &Map<String, Value>,
    configs: &mut Map<String, Value>,
    clock: &ManualClock,
    selector: &NodeSelector,
) -> Result<Answer, String> {
    let known = [
        "get_node",
        "get_nodes",
        "repeat",
        "set_nodes",
        "advance_ms",
        "reset_round_robin",
        "cleanup_sticky",
        "config",
    ];
    only_keys(step, &known)?;
    if step.contains_key("advance_ms") {
        clock.advance(Duration::from_millis(field(step, "advance_ms")?));
    } else if step.contains_key("reset_round_robin") {
        selector.reset_round_robin();
    } else if step.contains_key("cleanup_sticky") {
        selector.sweep();
    } else if let Some(nodes) = step.get("set_nodes") {
        let name: String = field(step, "config")?;
        configs.get_mut(&name).ok_or("no such config")?["nodes"] = nodes.clone();
    } else {
        let name: String = field(step, "config")?;
        let config = read_config(configs.get(&name).ok_or("no such config")?)?;
        return ask(step, &config, selector);
    }
    Ok(Answer::Done)
}

/// Configs are used without validation here, so an empty list, which cannot be read as valid, is put in afterwards.
fn read_config(json: &Value) -> Result<FunConfig, String> {
    let mut json = json.clone();
    let empty = json["nodes"].as_array().is_some_and(Vec::is_empty);
    if empty {
        json["nodes"] = "local".into();
    }
    let mut config = FunConfig::from_value(json).map_err(|error| error.to_string())?;
    if empty {
        config.nodes = Nodes::List(Vec::new());
    }
    Ok(config)
}

fn ask(
    step: &Map<String, Value>,
    config: &FunConfig,
    selector: &NodeSelector,
) -> Result<Answer, String> {
    let pick = |request: &Request| selector.pick(request, config).now_or_never();
    let waits = "the selection waits";
    if step.contains_key("repeat") {
        let times: usize = field(step, "repeat")?;
        let mut picks = Ok(Vec::new());
        for index in 0..times {
            let picked = pick(&request(step, "get_node", Some(index))?).ok_or(waits)?;
            picks = picks.and_then(|mut picks: Vec<Node>| {
                picks.push(picked?);
                Ok(picks)
            });
        }
        return Ok(Answer::Picks(picks));
    }
    if step.contains_key("get_node") {
        let picked = pick(&request(step, "get_node", None)?).ok_or(waits)?;
        return Ok(Answer::Node(picked));
    }
    let request = request(step, "get_nodes", None)?;
    let order = selector.order(&request, config).now_or_never();
    let order = order.ok_or(waits)?;
    Ok(Answer::Nodes(
        order.map(|order| order.iter().cloned().collect()),
    ))
}

/// The request of a step; in a repetition `{i}` stands for its index.
fn request(step: &Map<String, Value>, name: &str, index: Option<usize>) -> Result<Request, String> {
    let mut json: Value = field(step, name)?;
    if let Some(index) = index {
        fill_in(&mut json, &index.to_string());
    }
    let ip_address = json.get("ip_address").and_then(Value::as_str);
    let ip_address = ip_address.map(str::to_owned);
    let mut request = Request::from_value(json).map_err(|error| error.to_string())?;
    request.ip_address = ip_address;
    Ok(request)
}

fn fill_in(json: &mut Value, index: &str) {
    match json {
        Value::String(text) => *text = text.replace("{i}", index),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, index)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill_in(field, index)),
        _ => {}
    }
}

fn check(check: &Map<String, Value>, answers: &[Answer]) -> Result<(), String> {
    if check.contains_key("steps") {
        return compare_steps(check, answers);
    }
    let step: usize = field(check, "step")?;
    let answer = answers.get(step).ok_or("no such step")?;
    let forms: Vec<&String> = check.keys().filter(|key| *key != "step").collect();
    if forms.is_empty() {
        return Err("a check must check something".to_owned());
    }
    for form in forms {
        check_one(form, check, answer, answers)?;
    }
    Ok(())
}

fn check_one(
    form: &str,
    check: &Map<String, Value>,
    answer: &Answer,
    answers: &[Answer],
) -> Result<(), String> {
    let names = |form: &str| field::<Vec<String>>(check, form);
    match form {
        "node" => same("node", &one(answer)?, &field(check, form)?),
        "node_in" => within(&BTreeSet::from([one(answer)?]), &names(form)?),
        "nodes" => same("nodes", &list(answer)?, &names(form)?),
        "permutation_of" => {
            let (mut got, mut expected) = (list(answer)?, names(form)?);
            got.sort_unstable();
            expected.sort_unstable();
            same("nodes", &got, &expected)
        }
        "first_is_node_of" => {
            let step: usize = field(check, form)?;
            let first = one(answers.get(step).ok_or("no such step")?)?;
            let mut rest = names("rest_in_order_of")?;
            rest.retain(|node| *node != first);
            rest.insert(0, first);
            same("nodes", &list(answer)?, &rest)
        }
        "rest_in_order_of" if check.contains_key("first_is_node_of") => Ok(()),
        "error" => same("error", &error(answer)?, &field(check, form)?),
        "local" => {
            let Answer::Node(Ok(node)) = answer else {
                return Err("no node was picked".to_owned());
            };
            same("local", &node.is_local(), &field(check, form)?)
        }
        "seen" => same("seen", &seen(answer)?, &names(form)?.into_iter().collect()),
        "seen_subset_of" => within(&seen(answer)?, &names(form)?),
        "one_node" => same(
            "one node",
            &(seen(answer)?.len() == 1),
            &field(check, form)?,
        ),
        "sequence" => same("picks", &picks(answer)?, &names(form)?),
        form => Err(format!("unknown check {form:?}")),
    }
}

fn compare_steps(check: &Map<String, Value>, answers: &[Answer]) -> Result<(), String> {
    only_keys(check, &["steps", "same_node", "same_nodes"])?;
    let steps: Vec<usize> = field(check, "steps")?;
    let answers = steps
        .into_iter()
        .map(|step| answers.get(step).ok_or("no such step"));
    let got = answers
        .map(|answer| match check.contains_key("same_nodes") {
            true => list(answer?),
            false => Ok(vec![one(answer?)?]),
        })
        .collect::<Result<BTreeSet<_>, String>>()?;
    let form = match check.contains_key("same_nodes") {
        true => "same_nodes",
        false => "same_node",
    };
    same(form, &(got.len() == 1), &field(check, form)?)
}

fn within(got: &BTreeSet<String>, allowed: &[String]) -> Result<(), String> {
    match got.iter().find(|node| !allowed.contains(node)) {
        Some(node) => Err(format!("{node} is none of {allowed:?}")),
        None => Ok(()),
    }
}

fn one(answer: &Answer) -> Result<String, String> {
    match answer {
        Answer::Node(Ok(node)) => Ok(node.to_string()),
        Answer::Node(Err(error)) => Err(error.to_string()),
        _ => Err("the step picks no single node".to_owned()),
    }
}

fn list(answer: &Answer) -> Result<Vec<String>, String> {
    match answer {
        Answer::Nodes(Ok(nodes)) => Ok(nodes.iter().map(Node::to_string).collect()),
        Answer::Nodes(Err(error)) => Err(error.to_string()),
        _ => Err("the step asks for no list".to_owned()),
    }
}

fn picks(answer: &Answer) -> Result<Vec<String>, String> {
    match answer {
        Answer::Picks(Ok(nodes)) => Ok(nodes.iter().map(Node::to_string).collect()),
        Answer::Picks(Err(error)) => Err(error.to_string()),
        _ => Err("the step repeats nothing".to_owned()),
    }
}

fn seen(answer: &Answer) -> Result<BTreeSet<String>, String> {
    Ok(picks(answer)?.into_iter().collect())
}

fn error(answer: &Answer) -> Result<String, String> {
    match answer {
        Answer::Node(Err(error)) | Answer::Nodes(Err(error)) | Answer::Picks(Err(error)) => {
            Ok(error.code().to_owned())
        }
        _ => Err("an error is expected".to_owned()),
    }
}

fn pauses(case: &Case) -> Result<(), String> {
    only_keys(&case.when, &["backoff", "retry_schedule"])?;
    let millis = |time: Duration| u64::try_from(time.as_millis()).map_err(|e| e.to_string());
    if case.when.contains_key("retry_schedule") {
        let schedule: Map<String, Value> = field(&case.when, "retry_schedule")?;
        only_keys(&schedule, &["retries", "base_ms", "max_ms"])?;
        only_keys(&case.expect, &["pauses"])?;
        let expected: Vec<Value> = field(&case.expect, "pauses")?;
        let pauses = backoff(&schedule)?.pauses(field(&schedule, "retries")?, rand::rng());
        let pauses = pauses.map(millis).collect::<Result<Vec<_>, _>>()?;
        same("number of pauses", &pauses.len(), &expected.len())?;
        return pauses
            .iter()
            .zip(&expected)
            .try_for_each(|(pause, expected)| number(*pause, expected));
    }
    let given: Map<String, Value> = field(&case.when, "backoff")?;
    only_keys(&given, &["attempt", "jitter", "base_ms", "max_ms"])?;
    only_keys(&case.expect, &["ms"])?;
    let attempt = field(&given, "attempt")?;
    let jitter = !given.contains_key("jitter") || field(&given, "jitter")?;
    let backoff = backoff(&given)?;
    let pause = match jitter {
        true => backoff.pause(attempt, &mut rand::rng()),
        false => backoff.wait(attempt),
    };
    number(millis(pause)?, &case.expect["ms"])
}

fn backoff(given: &Map<String, Value>) -> Result<Backoff, String> {
    let millis = |name: &str, default: u64| match given.contains_key(name) {
        true => field(given, name).map(Duration::from_millis),
        false => Ok(Duration::from_millis(default)),
    };
    Ok(Backoff::new(
        millis("base_ms", 100)?,
        millis("max_ms", 5_000)?,
    ))
}

fn number(got: u64, expected: &Value) -> Result<(), String> {
    let Some(bounds) = expected.as_object() else {
        return same("pause", &Value::from(got), expected);
    };
    only_keys(bounds, &["between"])?;
    let (low, high): (u64, u64) = field(bounds, "between")?;
    match (low..=high).contains(&got) {
        true => Ok(()),
        false => Err(format!("{got} is not between {low} and {high}")),
    }
}

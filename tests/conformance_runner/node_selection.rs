//! The vectors of `node_selection.json`: the choice of nodes, on a clock that the case moves, and the pauses between retries.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use gen_api::{
    call::retry::Backoff,
    clock::ManualClock,
    function::{Call, Functions, Outcome, RequestInfo},
    model::{FunConfig, Mfa, Nodes, Request},
    node::{Node, NodeError, NodeResolver, NodeSelector, NodeSettings},
};
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use super::{
    case::{Case, field, only_entry, only_keys, optional, read, request},
    compare::compare,
    engine::block_on,
    harness::Harness,
};

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    if case.when.contains_key("steps") {
        block_on(select(case))
    } else {
        pauses(case)
    }
}

/// What a step was answered: nothing, one node, a list of nodes, or one node for each repetition.
enum Answer {
    Done,
    Node(Result<Node, NodeError>),
    Nodes(Result<Vec<Node>, NodeError>),
    Picks(Result<Vec<Node>, NodeError>),
}

async fn select(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["configs"])?;
    only_keys(&case.when, &["steps"])?;
    only_keys(&case.expect, &["checks"])?;
    let clock = ManualClock::new();
    let functions = Arc::new(Harness::default().functions());
    let resolve = move |resolver: Mfa| call(Arc::clone(&functions), resolver);
    let resolver = NodeResolver::new(resolve, Arc::new(clock.clone()), NodeSettings::default());
    let mut world = World {
        configs: field(&case.given, "configs")?,
        clock,
        selector: NodeSelector::new(resolver),
    };
    let mut answers = Vec::new();
    for given in field::<Vec<Map<String, Value>>>(&case.when, "steps")? {
        answers.push(world.step(&given).await?);
    }
    let checks: Vec<Map<String, Value>> = field(&case.expect, "checks")?;
    if checks.is_empty() {
        return Err("a case must check something".to_owned());
    }
    checks.iter().try_for_each(|given| {
        check(given, &answers).map_err(|reason| format!("{}: {reason}", json!(given)))
    })
}

/// Calls a resolver of the harness.
async fn call(functions: Arc<Functions>, resolver: Mfa) -> Result<Value, String> {
    let function = functions.get(&resolver.module, &resolver.function);
    let function = function.ok_or_else(|| format!("there is no function {resolver}"))?;
    let call = Call::new(resolver.args, RequestInfo::default(), Handle::current());
    match function.call(call).await {
        Ok(Outcome::Value(value)) => Ok(value),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.into_message()),
    }
}

/// A selector, and the configs that it is asked about.
struct World {
    configs: Map<String, Value>,
    clock: ManualClock,
    selector: NodeSelector,
}

impl World {
    async fn step(&mut self, step: &Map<String, Value>) -> Result<Answer, String> {
        let verbs = [
            ("get_node", ["config", "repeat"].as_slice()),
            ("get_nodes", &["config"]),
            ("set_nodes", &["config"]),
            ("advance_ms", &[]),
            ("reset_round_robin", &[]),
            ("cleanup_sticky", &[]),
        ];
        let verb = verbs.iter().find(|(verb, _)| step.contains_key(*verb));
        let Some((verb, with)) = verb else {
            return Err(format!("unknown step {}", json!(step)));
        };
        let mut others = step.clone();
        let given = others.remove(*verb).unwrap_or_default();
        only_keys(&others, with)?;
        match *verb {
            "get_node" if step.contains_key("repeat") => {
                let times: usize = field(step, "repeat")?;
                return Ok(Answer::Picks(self.repeat(times, &given, step).await?));
            }
            "get_node" => {
                let config = self.config(step)?;
                let picked = self.selector.pick(&request(&given)?, &config).await;
                return Ok(Answer::Node(picked));
            }
            "get_nodes" => {
                let config = self.config(step)?;
                let order = self.selector.order(&request(&given)?, &config).await;
                let nodes = order.map(|order| order.iter().cloned().collect());
                return Ok(Answer::Nodes(nodes));
            }
            "set_nodes" => {
                let name: String = field(step, "config")?;
                let config = self.configs.get_mut(&name).ok_or("no such config")?;
                config["nodes"] = given;
            }
            "advance_ms" => self.clock.advance(Duration::from_millis(read(&given)?)),
            verb if given != true => return Err(format!("{verb} is always true")),
            "reset_round_robin" => self.selector.reset_round_robin(),
            _ => self.selector.sweep(),
        }
        Ok(Answer::Done)
    }

    async fn repeat(
        &self,
        times: usize,
        given: &Value,
        step: &Map<String, Value>,
    ) -> Result<Result<Vec<Node>, NodeError>, String> {
        let config = self.config(step)?;
        let mut picks = Vec::new();
        for index in 0..times {
            let mut given = given.clone();
            fill_in(&mut given, &index.to_string());
            let request: Request = request(&given)?;
            match self.selector.pick(&request, &config).await {
                Ok(node) => picks.push(node),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(picks))
    }

    /// Configs are used without validation here, so nodes that cannot be read as valid are put in afterwards.
    fn config(&self, step: &Map<String, Value>) -> Result<FunConfig, String> {
        let name: String = field(step, "config")?;
        let mut json = self.configs.get(&name).ok_or("no such config")?.clone();
        let mut listed = None;
        if json["nodes"].is_array() {
            listed = Some(Nodes::List(read(&json["nodes"])?));
            json["nodes"] = "local".into();
        }
        let mut config = FunConfig::from_value(json).map_err(|error| error.to_string())?;
        if let Some(listed) = listed {
            config.nodes = listed;
        }
        Ok(config)
    }
}

/// In a repetition `{i}` stands for its index, in every text.
fn fill_in(json: &mut Value, index: &str) {
    match json {
        Value::String(text) => *text = text.replace("{i}", index),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, index)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill_in(field, index)),
        _ => {}
    }
}

/// Judges one check: every form in it must hold.
fn check(check: &Map<String, Value>, answers: &[Answer]) -> Result<(), String> {
    let mut forms = check.clone();
    let asked: Vec<usize> = match (forms.remove("step"), forms.remove("steps")) {
        (Some(step), None) => vec![read(&step)?],
        (None, Some(steps)) => read(&steps)?,
        _ => return Err("a check is about a step or about steps".to_owned()),
    };
    let asked = asked
        .into_iter()
        .map(|step| answers.get(step).ok_or("no such step"));
    let asked = asked.collect::<Result<Vec<_>, _>>()?;
    if forms.is_empty() {
        return Err("a check must check something".to_owned());
    }
    forms.keys().try_for_each(|form| match asked.as_slice() {
        [answer] if check.contains_key("step") => check_one(form, check, answer, answers),
        asked => check_several(form, check, asked),
    })
}

fn check_several(form: &str, check: &Map<String, Value>, asked: &[&Answer]) -> Result<(), String> {
    let got: Result<BTreeSet<_>, String> = match form {
        "same_node" => asked.iter().map(|answer| Ok(vec![node(answer)?])).collect(),
        "same_nodes" => asked.iter().map(|answer| nodes(answer)).collect(),
        _ => return Err(format!("unknown check {form:?}")),
    };
    same(form, &(got?.len() == 1), &field(check, form)?)
}

fn check_one(
    form: &str,
    check: &Map<String, Value>,
    answer: &Answer,
    answers: &[Answer],
) -> Result<(), String> {
    let names = || field::<Vec<String>>(check, form);
    match form {
        "node" => same(form, &node(answer)?, &field(check, form)?),
        "node_in" => within(&[node(answer)?], &names()?),
        "nodes" => same(form, &nodes(answer)?, &names()?),
        "permutation_of" => {
            let (mut got, mut expected) = (nodes(answer)?, names()?);
            got.sort_unstable();
            expected.sort_unstable();
            same(form, &got, &expected)
        }
        "first_is_node_of" => {
            let step: usize = field(check, form)?;
            let first = node(answers.get(step).ok_or("no such step")?)?;
            let mut expected: Vec<String> = field(check, "rest_in_order_of")?;
            expected.retain(|node| *node != first);
            expected.insert(0, first);
            same(form, &nodes(answer)?, &expected)
        }
        // Judged with the other half of the pair.
        "rest_in_order_of" if check.contains_key("first_is_node_of") => Ok(()),
        "error" => same(form, &error(answer)?, &field(check, form)?),
        "local" => match answer {
            Answer::Node(Ok(node)) => same(form, &node.is_local(), &field(check, form)?),
            _ => Err("no node was picked".to_owned()),
        },
        "seen" => {
            let seen: BTreeSet<String> = picks(answer)?.into_iter().collect();
            same(form, &seen, &names()?.into_iter().collect())
        }
        "seen_subset_of" => within(&picks(answer)?, &names()?),
        "one_node" => {
            let seen: BTreeSet<String> = picks(answer)?.into_iter().collect();
            same(form, &(seen.len() == 1), &field(check, form)?)
        }
        "sequence" => same(form, &picks(answer)?, &names()?),
        _ => Err(format!("unknown check {form:?}")),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, expected: &T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}: expected {expected:?}, got {got:?}"))
}

fn within(got: &[String], allowed: &[String]) -> Result<(), String> {
    match got.iter().find(|node| !allowed.contains(node)) {
        Some(node) => Err(format!("{node} is none of {allowed:?}")),
        None => Ok(()),
    }
}

fn node(answer: &Answer) -> Result<String, String> {
    match answer {
        Answer::Node(Ok(node)) => Ok(node.to_string()),
        Answer::Node(Err(error)) => Err(error.to_string()),
        _ => Err("the step picks no single node".to_owned()),
    }
}

fn nodes(answer: &Answer) -> Result<Vec<String>, String> {
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

fn error(answer: &Answer) -> Result<String, String> {
    match answer {
        Answer::Node(Err(error)) | Answer::Nodes(Err(error)) | Answer::Picks(Err(error)) => {
            Ok(error.code().to_owned())
        }
        _ => Err("an error is expected".to_owned()),
    }
}

fn pauses(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &[])?;
    let (form, given) = only_entry(&case.when)?;
    let given: Map<String, Value> = read(given)?;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match form {
        "backoff" => {
            only_keys(&given, &["attempt", "jitter", "base_ms", "max_ms"])?;
            only_keys(&case.expect, &["ms"])?;
            let attempt = field(&given, "attempt")?;
            let pause = match optional(&given, "jitter")?.unwrap_or(true) {
                true => backoff(&given)?.pause(attempt, &mut rand::rng()),
                false => backoff(&given)?.wait(attempt),
            };
            compare(&case.expect, &json!({ "ms": millis(pause) }))
        }
        "retry_schedule" => {
            only_keys(&given, &["retries", "base_ms", "max_ms"])?;
            only_keys(&case.expect, &["pauses"])?;
            let pauses = backoff(&given)?.pauses(field(&given, "retries")?, rand::rng());
            let pauses: Vec<u64> = pauses.map(millis).collect();
            compare(&case.expect, &json!({ "pauses": pauses }))
        }
        _ => Err(format!("unknown form {form:?}")),
    }
}

fn backoff(given: &Map<String, Value>) -> Result<Backoff, String> {
    let millis = |name: &str, default| {
        Ok::<_, String>(Duration::from_millis(
            optional(given, name)?.unwrap_or(default),
        ))
    };
    Ok(Backoff::new(
        millis("base_ms", 100)?,
        millis("max_ms", 5_000)?,
    ))
}

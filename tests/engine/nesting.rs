//! Functions that make requests of their own.

use std::sync::{Arc, OnceLock};

use gen_api::{
    GenApi,
    arguments::ArgType,
    function::{FunctionError, Functions, State},
};
use serde_json::json;

use crate::fixture::{config, request, start};

type Engine = Arc<OnceLock<GenApi>>;

async fn nest(levels: u32, State(api): State<Engine>) -> Result<u32, FunctionError> {
    let Some(below) = levels.checked_sub(1) else {
        return Ok(1);
    };
    let api = api.get().ok_or("it has not started")?;
    let request = request("r", "nest").with_arg("levels", below);
    let response = api.execute(request).await.response;
    let response = response.ok_or("no answer")?;
    match response.error {
        Some(error) => Err(FunctionError::public(error)),
        None => Ok(serde_json::from_value::<u32>(response.result)? + 1),
    }
}

#[tokio::test]
async fn a_function_that_calls_itself_without_end_gets_an_error_and_overflows_no_stack() {
    let engine = Engine::default();
    let functions = Functions::new()
        .state(Arc::clone(&engine))
        .register("T", "nest", nest);
    let api = start(
        functions,
        [config("nest", "nest").arg("levels", ArgType::Num)],
    )
    .await;
    engine.set(api.clone()).expect("it is set once");
    let nested = async |levels: u32| {
        let request = request("r", "nest").with_arg("levels", levels);
        let response = api.execute(request).await.response.expect("an answer");
        (response.result, response.error)
    };
    assert_eq!(nested(31).await, (json!(32), None));
    let too_deep = Some("Requests nest more than 32 deep".to_owned());
    for levels in [32, 10_000] {
        assert_eq!(nested(levels).await, (json!(null), too_deep.clone()));
    }
    assert_eq!(nested(31).await, (json!(32), None));
    api.stop().await;
}

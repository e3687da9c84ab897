//! Inputs: the films, cameras, publishers and sounds that layers show, and how they go.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::answer::{Answered, Name, Reply};
use super::routes::{Doc, Routes};
use crate::control::ApiError;
use crate::control::schema::NAME_PATTERN;
use crate::inputs::InputView;

const TAG: &str = "inputs";

/// Every input.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct InputsAnswer {
    /// The inputs, in the order in which their layers came.
    inputs: Vec<InputView>,
    /// How many there are.
    count: usize,
}

/// The routes.
pub fn routes() -> Routes {
    let layer = json!({"type": "string", "pattern": NAME_PATTERN});
    let doc = |name, summary| {
        Doc::new(TAG, name, summary).path("layer", layer.clone(), "The layer that shows it.")
    };
    Routes::new()
        .get(
            "/inputs",
            Doc::new(
                TAG,
                "listInputs",
                "Lists the films, cameras, publishers and sounds that layers show",
            )
            .more("While one scene gives way to another, both may have a layer of the same name, and both are listed.")
            .answers::<InputsAnswer>("The inputs."),
            async |State(api): State<Api>| {
                let inputs = api.station().inputs().list();
                Reply::of(InputsAnswer {
                    count: inputs.len(),
                    inputs,
                })
            },
        )
        .get(
            "/inputs/{layer}",
            doc("getInput", "Gives the input of a layer with how it goes")
                .answers::<InputView>("The input."),
            async |State(api): State<Api>, Name(layer): Name| {
                found(&api, &layer, api.station().inputs().get(&layer))
            },
        )
        .post(
            "/inputs/{layer}/reconnect",
            doc("reconnectInput", "Has a layer's input connect anew at once, whatever it is doing")
                .more("What is connected is let go, too. A film goes on where it is; one that has ended begins again, at its in point.")
                .answers::<InputView>("The input."),
            async |State(api): State<Api>, Name(layer): Name| {
                found(&api, &layer, api.station().inputs().reconnect(&layer))
            },
        )
}

fn found(api: &Api, layer: &str, input: Option<InputView>) -> Answered {
    let Some(input) = input else {
        let inputs = api.station().inputs().list();
        let known = inputs.iter().map(|input| input.layer.as_str());
        return Err(ApiError::not_found("input", layer, known));
    };
    Reply::of(input)
}

//! The OpenAPI 3.1 document, made from the routes themselves.

use std::collections::HashSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::routes::{Answer, Content, Operation};
use crate::control::{ApiError, ErrorCode};
use crate::scene::schema::{WHOLE_MAX, tidy};

const DESCRIPTION: &str = "\
Everything that a program can ask of Stream Manager. Answers are `{\"success\": true, \"data\": ...}` or \
`{\"success\": false, \"error\": {\"code\", \"message\", \"details\"}}`. A reply to a change carries `tick`, the tick whose frame is \
the first to show it, and `revision`, a counter that every change raises. The same commands go over WebSocket at `/ws` and \
`/stream/events`, which also tells what happens.";

/// Refusals that come before any route is known.
const BARE: [(&str, &str, &str); 2] = [
    ("414", "UriTooLong", "The address is longer than 64 KiB."),
    (
        "431",
        "HeadersTooLarge",
        "There are more than 100 headers, or they are too large.",
    ),
];

/// The document. `with_token` says whether a token is asked for.
pub fn document(operations: &[Operation], with_token: bool) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let written = write(operation, with_token, &mut generator);
        let path = paths
            .entry(operation.path.clone())
            .or_insert_with(|| json!({}));
        path[operation.method] = written;
    }
    let error = generator.subschema_for::<ApiError>();
    let mut responses = Map::new();
    let used: HashSet<ErrorCode> = operations
        .iter()
        .flat_map(|operation| errors(operation, with_token))
        .filter_map(|(_, codes)| codes.first().copied())
        .collect();
    for code in ErrorCode::ALL
        .into_iter()
        .filter(|code| used.contains(code))
    {
        responses.insert(
            name(code),
            json!({
                "description": describe(code),
                "headers": headers(code),
                "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["success", "error"],
                    "properties": {"success": {"const": false}, "error": error},
                    "additionalProperties": false,
                }}},
            }),
        );
    }
    for (_, name, doc) in BARE {
        let doc = format!("{doc} The answer has no body, and the connection is closed.");
        responses.insert(name.to_owned(), json!({"description": doc}));
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stream Manager",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "responses": responses,
            "schemas": generator.take_definitions(true),
        },
    });
    if with_token {
        document["components"]["securitySchemes"] = json!({
            "token": {"type": "http", "scheme": "bearer", "description": "The setting API_TOKEN."},
        });
    }
    tidy(&mut document);
    document
}

/// The name of an error's response.
fn name(code: ErrorCode) -> String {
    format!("{code:?}")
}

/// What an error's response says in its headers.
fn headers(code: ErrorCode) -> Value {
    let text =
        |doc: &str| json!({"required": true, "description": doc, "schema": {"type": "string"}});
    match code {
        ErrorCode::Unauthorized => json!({"WWW-Authenticate": text("How to ask: `Bearer`.")}),
        ErrorCode::UpgradeRequired => json!({"Upgrade": text("What to ask for: `websocket`.")}),
        ErrorCode::RateLimited | ErrorCode::Unavailable => json!({"Retry-After": {
            "required": true, "description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0},
        }}),
        _ => json!({}),
    }
}

fn write(operation: &Operation, with_token: bool, generator: &mut SchemaGenerator) -> Value {
    let doc = &operation.doc;
    let mut parameters: Vec<Value> = Vec::new();
    for part in operation.path.split('/') {
        let Some(name) = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'))
        else {
            continue;
        };
        let own = doc.path.iter().find(|parameter| parameter.name == name);
        let schema = own.map_or_else(
            || json!({"type": "string", "minLength": 1, "maxLength": 128}),
            |parameter| parameter.schema.clone(),
        );
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": schema,
            "description": own.map_or("Its name.", |parameter| parameter.doc),
        }));
    }
    for parameter in &doc.query {
        parameters.push(json!({
            "name": parameter.name, "in": "query", "required": false,
            "schema": parameter.schema, "description": parameter.doc,
        }));
    }
    let mut responses = Map::new();
    for answer in &doc.answers {
        responses.insert(answer.status.to_string(), success(answer, generator));
    }
    for (status, codes) in errors(operation, with_token) {
        let response = match codes.as_slice() {
            [code, ..] => json!({"$ref": format!("#/components/responses/{}", name(*code))}),
            [] => continue,
        };
        responses.entry(status.to_string()).or_insert(response);
    }
    for (status, name, _) in BARE {
        let response = json!({"$ref": format!("#/components/responses/{name}")});
        responses.insert(status.to_owned(), response);
    }
    let mut written = json!({
        "tags": [doc.tag],
        "operationId": doc.id,
        "summary": doc.summary,
        "responses": responses,
    });
    if !doc.more.is_empty() {
        written["description"] = doc.more.into();
    }
    if !parameters.is_empty() {
        written["parameters"] = parameters.into();
    }
    if let Some(body) = &doc.body {
        let mut content = json!({"schema": (body.schema)(generator)});
        if let Some(example) = &body.example {
            content["example"] = example.clone();
        }
        written["requestBody"] = json!({
            "required": body.is_required,
            "content": {body.media_type: content},
        });
    }
    if with_token && !doc.is_public {
        written["security"] = json!([{"token": []}]);
    }
    written
}

fn success(answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    let mut response = json!({"description": answer.doc});
    match &answer.content {
        Content::Envelope {
            schema,
            is_change,
            is_kept,
        } => {
            let mut properties = json!({"success": {"const": true}, "data": schema(generator)});
            let mut required = vec!["success", "data"];
            if *is_change {
                properties["tick"] = json!({"type": "integer", "minimum": 0, "maximum": WHOLE_MAX, "description": "The tick whose frame is the first to show it."});
                properties["revision"] = json!({"type": "integer", "minimum": 0, "maximum": WHOLE_MAX, "description": "The world's revision after it."});
                required.extend(["tick", "revision"]);
            }
            if *is_change || *is_kept {
                properties["store"] = json!({"enum": ["degraded", "down"], "description": "Only where changes are not saved in time: how the store is. What was changed holds, and is kept in memory until the store takes it."});
            }
            response["content"] = json!({"application/json": {"schema": {
                "type": "object", "required": required, "properties": properties, "additionalProperties": false,
            }}});
        }
        Content::Raw(media_types) => {
            let content: Map<String, Value> = media_types
                .iter()
                .map(|media_type| ((*media_type).to_owned(), json!({})))
                .collect();
            response["content"] = content.into();
        }
        Content::Nothing => {}
    }
    for link in &answer.links {
        response["links"][link.to] = json!({
            "operationId": link.to,
            "parameters": {"id": format!("$response.body#/data/{}", link.field)},
        });
    }
    response
}

/// The errors of a route by status: its own, and those that every route may answer.
fn errors(operation: &Operation, with_token: bool) -> Vec<(u16, Vec<ErrorCode>)> {
    let doc = &operation.doc;
    let mut codes = doc.errors.clone();
    codes.extend([
        ErrorCode::BadRequest,
        ErrorCode::Forbidden,
        ErrorCode::Timeout,
        ErrorCode::RateLimited,
        ErrorCode::Internal,
        ErrorCode::Unavailable,
    ]);
    if operation.path.contains('{') {
        codes.push(ErrorCode::NotFound);
    }
    if with_token && !doc.is_public {
        codes.push(ErrorCode::Unauthorized);
    }
    let mut by_status: Vec<(u16, Vec<ErrorCode>)> = Vec::new();
    for code in codes {
        match by_status
            .iter_mut()
            .find(|(status, _)| *status == code.status())
        {
            Some((_, codes)) => codes.push(code),
            None => by_status.push((code.status(), vec![code])),
        }
    }
    by_status.sort_by_key(|(status, _)| *status);
    by_status
}

fn describe(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadRequest => "The request cannot be read, or is not of this schema.",
        ErrorCode::Unauthorized => "No token, or a wrong one.",
        ErrorCode::Forbidden => "The origin or the host of the request is not allowed.",
        ErrorCode::NotFound => "There is nothing of this name.",
        ErrorCode::MethodNotAllowed => "The route does not take this method.",
        ErrorCode::Timeout => "The request took too long to come.",
        ErrorCode::Conflict => "It clashes with what is there, or the revision is another one.",
        ErrorCode::RevisionConflict => "The world is at another revision.",
        ErrorCode::TooLarge => "The body is larger than is taken.",
        ErrorCode::UnsupportedMediaType => "The body is of a type that is not taken.",
        ErrorCode::Invalid => "The shape is right, and a value cannot be used.",
        ErrorCode::UpgradeRequired => "The request does not open a WebSocket.",
        ErrorCode::RateLimited => "More requests than are taken at a time.",
        ErrorCode::Internal => "The program is at fault.",
        ErrorCode::Unavailable => {
            "Too many changes wait, or a part of the program is not there now."
        }
        ErrorCode::NotSaved => {
            "The change is made, and was not saved within the time that `durable` waits. It is kept until the store takes it."
        }
        ErrorCode::OutcomeUnknown => {
            "Who was to do it ended before it answered: it may have been done or not."
        }
    }
}

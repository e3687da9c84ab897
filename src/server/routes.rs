//! Routes and what they say of themselves: one entry each, from which both the router and the OpenAPI document are made, so that
//! neither knows a route that the other does not.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use components::animation::Easing;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::Api;
use super::answer::Params;
use super::durable::DURABLE;
use crate::control::ErrorCode;
use crate::control::view::json_of;
use crate::scene::schema::WHOLE_MAX;

/// Gives a schema.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of a type.
pub fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What a route says of itself.
#[derive(Clone)]
pub struct Doc {
    /// The heading under which it is listed.
    pub tag: &'static str,
    /// Its unique name, for clients that are generated.
    pub id: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// More about it.
    pub more: &'static str,
    pub(super) query: Vec<Parameter>,
    pub(super) path: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    pub(super) errors: Vec<ErrorCode>,
    pub(super) is_public: bool,
    is_saved: bool,
}

/// A parameter in the query or the path.
#[derive(Clone)]
pub struct Parameter {
    pub(super) name: &'static str,
    pub(super) schema: Value,
    pub(super) doc: &'static str,
}

/// What a request carries.
#[derive(Clone)]
pub struct Body {
    pub(super) media_type: &'static str,
    pub(super) schema: SchemaOf,
    pub(super) is_required: bool,
    pub(super) example: Option<Value>,
}

/// A success.
#[derive(Clone)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) doc: &'static str,
    pub(super) content: Content,
    pub(super) links: Vec<Link>,
}

/// A route that the answer of another leads to: what its data names is the `id` in the path there.
#[derive(Clone)]
pub struct Link {
    /// The `operationId` of the route.
    pub(super) to: &'static str,
    /// The field of the data.
    pub(super) field: &'static str,
}

/// What a success carries.
#[derive(Clone)]
pub enum Content {
    /// `{"success": true, "data": ...}`, with tick and revision where it is a change.
    Envelope {
        /// Of `data`.
        schema: SchemaOf,
        /// Whether tick and revision are there.
        is_change: bool,
        /// Whether it changes what is saved beside the show.
        is_kept: bool,
    },
    /// Something else, of these media types.
    Raw(&'static [&'static str]),
    /// Nothing.
    Nothing,
}

impl Doc {
    /// A route under a heading, with its unique name and what it does.
    pub fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            tag,
            id,
            summary,
            more: "",
            query: Vec::new(),
            path: Vec::new(),
            body: None,
            answers: Vec::new(),
            errors: Vec::new(),
            is_public: false,
            is_saved: false,
        }
    }

    /// Says more.
    #[must_use]
    pub fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    /// Parameters in the query that tell how values go from what is on screen to what they become: seconds under `name`, and `easing`.
    #[must_use]
    pub fn glide(self, name: &'static str) -> Self {
        let names: Vec<Value> = Easing::NAMED.iter().map(json_of).collect();
        self.query(
            name,
            json!({"type": "number", "minimum": 0, "maximum": 600}),
            "Seconds in which numbers and colours go there from what is on screen; at once when absent.",
        )
        .query(
            "easing",
            json!({"enum": names}),
            "The course of that; `easeInOutCubic` when absent.",
        )
    }

    /// A parameter in the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, schema: Value, doc: &'static str) -> Self {
        self.query.push(Parameter { name, schema, doc });
        self
    }

    /// What a name in the path stands for.
    #[must_use]
    pub fn path(mut self, name: &'static str, schema: Value, doc: &'static str) -> Self {
        self.path.push(Parameter { name, schema, doc });
        self
    }

    /// The terms of a change, in the query; and the errors that come with them.
    #[must_use]
    pub fn terms(self) -> Self {
        self.query(
            "ifRevision",
            json!({"type": "integer", "minimum": 0, "maximum": WHOLE_MAX}),
            "Only when the world is at this revision.",
        )
        .query(
            "dryRun",
            json!({"type": "boolean"}),
            "Only try it: nothing changes.",
        )
        .error(ErrorCode::Conflict)
        .error(ErrorCode::Unavailable)
    }

    /// Whether the answer waits until the change is saved, in the query.
    fn durable(self) -> Self {
        self.query(
            DURABLE,
            json!({"type": "boolean"}),
            "Answers only once what changed outlives the program. Without it that is so within 250 ms, as long as the answer has no `store`.",
        )
        .error(ErrorCode::NotSaved)
    }

    /// A JSON body.
    #[must_use]
    pub fn body<T: JsonSchema>(self) -> Self {
        self.json(schema_of::<T>, true)
    }

    /// A JSON body that may be left out.
    #[must_use]
    pub fn optional_body<T: JsonSchema>(self) -> Self {
        self.json(schema_of::<T>, false)
    }

    /// A JSON body of this schema.
    #[must_use]
    pub fn json(mut self, schema: SchemaOf, is_required: bool) -> Self {
        self.body = Some(Body {
            media_type: "application/json",
            schema,
            is_required,
            example: None,
        });
        self.error(ErrorCode::BadRequest)
            .error(ErrorCode::Invalid)
            .error(ErrorCode::TooLarge)
            .error(ErrorCode::UnsupportedMediaType)
    }

    /// A body of another kind.
    #[must_use]
    pub fn upload(mut self, media_type: &'static str, schema: SchemaOf) -> Self {
        self.body = Some(Body {
            media_type,
            schema,
            is_required: true,
            example: None,
        });
        self.error(ErrorCode::BadRequest)
            .error(ErrorCode::Invalid)
            .error(ErrorCode::TooLarge)
            .error(ErrorCode::UnsupportedMediaType)
    }

    /// An example of the body.
    #[must_use]
    pub fn example(mut self, example: Value) -> Self {
        if let Some(body) = &mut self.body {
            body.example = Some(example);
        }
        self
    }

    /// A success with data.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, doc: &'static str) -> Self {
        self.answer(200, doc, schema_of::<T>, false)
    }

    /// A change that was made, with data.
    #[must_use]
    pub fn changes<T: JsonSchema>(self, doc: &'static str) -> Self {
        self.answer(200, doc, schema_of::<T>, true)
    }

    /// Something new, with data.
    #[must_use]
    pub fn creates<T: JsonSchema>(self, doc: &'static str) -> Self {
        self.answer(201, doc, schema_of::<T>, true)
    }

    /// A success.
    #[must_use]
    pub fn answer(
        mut self,
        status: u16,
        doc: &'static str,
        schema: SchemaOf,
        is_change: bool,
    ) -> Self {
        self.is_saved |= is_change;
        self.answers.push(Answer {
            status,
            doc,
            content: Content::Envelope {
                schema,
                is_change,
                is_kept: false,
            },
            links: Vec::new(),
        });
        self
    }

    /// The latest success is of a change that is saved beside the show.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.is_saved = true;
        if let Some(Answer {
            content: Content::Envelope { is_kept, .. },
            ..
        }) = self.answers.last_mut()
        {
            *is_kept = true;
        }
        self
    }

    /// A success changes files that are on the disk before it is answered.
    #[must_use]
    pub fn filed(mut self) -> Self {
        self.is_saved = true;
        self
    }

    /// What a success changes does not outlive the program.
    #[must_use]
    pub fn fleeting(mut self) -> Self {
        self.is_saved = false;
        self
    }

    /// A success that is not JSON.
    #[must_use]
    pub fn raw(mut self, doc: &'static str, media_types: &'static [&'static str]) -> Self {
        self.answers.push(Answer {
            status: 200,
            doc,
            content: Content::Raw(media_types),
            links: Vec::new(),
        });
        self
    }

    /// A file that can be asked for in parts, and again only where it has changed (RFC 9110, sections 13 and 14).
    #[must_use]
    pub fn file(self, doc: &'static str, media_types: &'static [&'static str]) -> Self {
        let mut doc = self.raw(doc, media_types);
        doc.answers.push(Answer {
            status: 206,
            doc: "The part that `Range` asks for.",
            content: Content::Raw(media_types),
            links: Vec::new(),
        });
        doc.nothing(304, "It is as it was at `If-Modified-Since`.")
            .nothing(416, "It has no such part.")
    }

    /// A success without a body.
    #[must_use]
    pub fn nothing(mut self, status: u16, doc: &'static str) -> Self {
        self.answers.push(Answer {
            status,
            doc,
            content: Content::Nothing,
            links: Vec::new(),
        });
        self
    }

    /// Says to which routes `field` of the latest success's data leads.
    #[must_use]
    pub fn leads(mut self, field: &'static str, to: &[&'static str]) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.links.extend(to.iter().map(|to| Link { to, field }));
        }
        self
    }

    /// An error that it may answer, besides those that every route may.
    #[must_use]
    pub fn error(mut self, code: ErrorCode) -> Self {
        if !self.errors.contains(&code) {
            self.errors.push(code);
        }
        self
    }

    /// Needs no token.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.is_public = true;
        self
    }
}

/// One route.
#[derive(Clone)]
pub struct Operation {
    /// `get`, as OpenAPI writes it.
    pub method: &'static str,
    /// Its whole path, with `{id}` for names.
    pub path: String,
    /// What it says of itself.
    pub doc: Doc,
}

/// Routes with what they say of themselves.
#[derive(Default)]
pub struct Routes {
    pub(super) router: Router<Api>,
    pub(super) operations: Vec<Operation>,
}

impl Routes {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// A route.
    #[must_use]
    pub fn get<H, T>(self, path: &str, doc: Doc, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add("get", path, doc, on(MethodFilter::GET, handler))
    }

    /// A route.
    #[must_use]
    pub fn post<H, T>(self, path: &str, doc: Doc, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add("post", path, doc, on(MethodFilter::POST, handler))
    }

    /// A route.
    #[must_use]
    pub fn put<H, T>(self, path: &str, doc: Doc, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add("put", path, doc, on(MethodFilter::PUT, handler))
    }

    /// A route.
    #[must_use]
    pub fn patch<H, T>(self, path: &str, doc: Doc, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add("patch", path, doc, on(MethodFilter::PATCH, handler))
    }

    /// A route.
    #[must_use]
    pub fn delete<H, T>(self, path: &str, doc: Doc, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add("delete", path, doc, on(MethodFilter::DELETE, handler))
    }

    fn add(
        mut self,
        method: &'static str,
        path: &str,
        mut doc: Doc,
        route: MethodRouter<Api>,
    ) -> Self {
        if doc.is_saved {
            doc = doc.durable();
        }
        let known: Arc<[&str]> = doc.query.iter().map(|query| query.name).collect();
        let route = route.route_layer(from_fn(move |request: Request, next: Next| {
            let known = Arc::clone(&known);
            async move { with_known_query(&known, request, next).await }
        }));
        self.router = self.router.route(path, route);
        self.operations.push(Operation {
            method,
            path: path.to_owned(),
            doc,
        });
        self
    }

    /// These routes and those.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.operations.extend(other.operations);
        self
    }

    /// The same routes below a path.
    #[must_use]
    pub fn below(self, prefix: &str) -> Self {
        let mut operations = self.operations;
        for operation in &mut operations {
            operation.path.insert_str(0, prefix);
        }
        Self {
            router: Router::new().nest(prefix, self.router),
            operations,
        }
    }
}

/// Lets a request through whose query the route says that it knows.
async fn with_known_query(known: &[&str], request: Request, next: Next) -> Response {
    match Params::of(request.uri()).and_then(|query| query.only(known)) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

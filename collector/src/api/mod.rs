//! Questions over HTTP: from a request to a question, and from an answer to JSON. What is asked is answered by the crate `query`.
//! `docs/api.md` has the paths for people, `openapi.json` for programs.

mod alerts;
mod body;
mod connect;
mod metrics;
mod origin;
mod parameters;
mod profiles;
mod reply;
mod routes;
mod sql;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use hyper::body::Body;
use query::Engine;

pub use routes::{ROUTES, Route};

use crate::{
    api::{
        parameters::Parameters,
        reply::{Failure, Reply},
    },
    receive::{Answer, Tenants},
    refusal::{Reason, Refusal},
    watch::Board,
};

const PREFIX: &str = "/api/";
/// What can be asked, for programs.
const OPENAPI: &str = include_str!("openapi.json");

/// What answers.
#[derive(Debug)]
pub struct Api {
    engine: Arc<Engine>,
    board: Arc<Board>,
    /// Whether only this host reaches it.
    is_local: bool,
}

impl Api {
    /// Over an engine, at an address that other hosts reach, or do not.
    #[must_use]
    pub const fn new(engine: Arc<Engine>, board: Arc<Board>, is_local: bool) -> Self {
        Self { engine, board, is_local }
    }

    /// What rules have found.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What answers questions.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// Whether a path is asked here.
#[must_use]
pub fn is_of_api(path: &str) -> bool {
    path.starts_with(PREFIX) || path.starts_with(connect::PREFIX)
}

/// Who asks, what, and when.
#[derive(Debug)]
struct Asked<'a> {
    engine: &'a Engine,
    board: &'a Board,
    tenant: &'a str,
    parameters: Parameters,
    /// What stands in the path where the route has a name.
    name: String,
    now_unix_ns: u64,
}

/// Answers a request.
pub async fn answer<B>(request: Request<B>, api: &Api, tenants: &Tenants, now_unix_ns: u64) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Where everybody who is here may ask, a page must not be here by a name of its own.
    if api.is_local && !tenants.needs_token() && !origin::is_of_this_host(&request) {
        let what = "the address was asked for by a name; ask for localhost or 127.0.0.1";
        return Failure::from(Refusal::new(Reason::FromPage, what)).answer();
    }
    if request.uri().path().starts_with(connect::PREFIX) {
        return match connect::call(request, &api.engine, tenants, now_unix_ns).await {
            Ok(reply) => reply.answer(),
            Err(failure) => failure.connect_answer(),
        };
    }
    match ask(request, api, tenants, now_unix_ns).await {
        Ok(reply) => reply.answer(),
        Err(failure) => failure.answer(),
    }
}

async fn ask<B>(request: Request<B>, api: &Api, tenants: &Tenants, now_unix_ns: u64) -> Result<Reply, Failure>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    // Another page can have its reader's browser ask, but not read the answer; it shall not cost anything either.
    if origin::is_of_another_site(&head.headers) {
        return Err(Refusal::new(Reason::FromPage, "a page of another site asks").into());
    }
    let (route, name) = Route::of_path(head.uri.path())
        .ok_or_else(|| Refusal::new(Reason::NoSuchPath, "nothing can be asked at this path"))?;
    let is_read = [Method::GET, Method::HEAD].contains(&head.method) && route.method() == Method::GET;
    if !is_read && head.method != route.method() {
        return Err(Failure::wrong_method(route.method()));
    }
    let tenant = tenants.of_headers(&head.headers)?;
    let parameters = Parameters::of(head.uri.query().unwrap_or_default(), route)?;
    let (engine, board) = (api.engine(), api.board());
    let asked = Asked { engine, board, tenant: tenant.name(), parameters, name, now_unix_ns };
    match route {
        Route::Types => profiles::types(&asked).await,
        Route::Labels => profiles::labels(&asked).await,
        Route::LabelValues => profiles::values(&asked).await,
        Route::Timeline => profiles::timeline(&asked).await,
        Route::Flamegraph => profiles::flamegraph(&asked).await,
        Route::Diff => profiles::diff(&asked).await,
        Route::Top => profiles::top(&asked).await,
        Route::Download => profiles::download(&asked).await,
        Route::MetricNames => metrics::names(&asked).await,
        Route::Metrics => metrics::metrics(&asked).await,
        Route::Alerts => alerts::alerts(&asked),
        Route::Sql => sql::sql(&asked, &body::json(&head.headers, body).await?).await,
        Route::OpenApi => Ok(Reply::file(OPENAPI.into(), "application/json", None)),
    }
}

//! A cluster as a collector sees it.

use async_trait::async_trait;
use ballista_core::extension::{SessionConfigExt as _, SessionStateExt as _};
use bytes::Bytes;
use datafusion::{
    error::{DataFusionError, Result},
    execution::{SessionState, SessionStateBuilder, object_store::ObjectStoreUrl},
};
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use query::Cluster;

use crate::{address::SchedulerAddress, session, stores::store_name};

/// Of what a scheduler says of itself.
const MAX_STATUS_BYTES: usize = 4 << 10;

/// A cluster, by its scheduler.
#[derive(Debug)]
pub struct Ballista {
    scheduler: SchedulerAddress,
    store: ObjectStoreUrl,
    n_partitions: usize,
}

impl Ballista {
    /// By the address of the scheduler, over the store at an address, with as many parts of a question as may be worked on at once.
    ///
    /// # Errors
    /// If the store has no name in plans.
    pub fn new(scheduler: SchedulerAddress, store: &str, n_partitions: usize) -> Result<Self> {
        Ok(Self { scheduler, store: store_name(store)?, n_partitions: n_partitions.max(1) })
    }

    /// What the scheduler says of itself: whether anybody is there to work.
    async fn status(
        &self,
    ) -> std::result::Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let answer = client.get(format!("{}/readyz", self.scheduler.http()).parse()?).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_STATUS_BYTES).collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).trim().to_owned()))
    }
}

#[async_trait]
impl Cluster for Ballista {
    async fn ready(&self) -> std::result::Result<(), String> {
        let scheduler = &self.scheduler;
        match self.status().await {
            Ok((StatusCode::OK, _)) => Ok(()),
            Ok((_, said)) => Err(format!("the scheduler {scheduler} says: {said}")),
            Err(error) => {
                // The last of its causes says what happened.
                let mut cause: &(dyn std::error::Error + 'static) = error.as_ref();
                while let Some(next) = cause.source() {
                    cause = next;
                }
                Err(format!("no scheduler answers at {scheduler}: {cause}"))
            }
        }
    }

    fn store_url(&self) -> ObjectStoreUrl {
        self.store.clone()
    }

    fn session(&self, state: SessionState) -> std::result::Result<SessionState, DataFusionError> {
        let config = session::of_cluster(state.config().clone())
            .with_target_partitions(self.n_partitions)
            .with_ballista_job_name("brazier");
        let state = SessionStateBuilder::new_from_existing(state).with_config(config).build();
        state.upgrade_for_ballista(self.scheduler.http())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    fn ready(at: &str) -> std::result::Result<(), String> {
        let cluster = Ballista::new(at.parse().expect("is one"), "s3://a", 4).expect("is one");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
        runtime.block_on(cluster.ready())
    }

    #[test]
    fn a_scheduler_that_is_gone_or_has_nobody_to_work_is_not_ready_and_why_is_said() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let at = format!("df://{}", listener.local_addr().expect("has an address"));
        let answers = [
            "503 X\r\nContent-Length: 27\r\n\r\nnot ready: 0/1 executors...",
            "200 OK\r\nContent-Length: 0\r\n\r\n",
        ];
        let server = thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("is asked");
                let n_read = stream.read(&mut [0; 1024]).expect("reads");
                assert!(n_read > 0);
                stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).expect("answers");
            }
        });
        let nobody = ready(&at).expect_err("is not ready");
        assert!(nobody.contains("0/1 executors"), "{nobody}");
        assert_eq!(ready(&at), Ok(()));
        server.join().expect("ends");
        let gone = ready(&at).expect_err("is gone");
        assert!(gone.contains(&at) && gone.contains("refused"), "{gone}");
    }
}

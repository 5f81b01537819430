//! The one client of a case: it sends requests one after another and keeps what it receives, in order.

use std::{collections::BTreeMap, time::Duration};

use gen_api::{GenApi, Reply, model::Response};
use serde_json::{Map, Value};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::case::{json, only_entry, optional, read, request};

/// Sends requests and receives responses.
pub(crate) struct Client {
    api: GenApi,
    outer_timeout: Option<Duration>,
    inbox: mpsc::UnboundedReceiver<Message>,
    mailbox: mpsc::UnboundedSender<Message>,
    /// The immediate answers, one a request.
    pub(crate) replies: Vec<Value>,
    /// The responses that came later, in the order of their coming.
    pub(crate) messages: Vec<Value>,
    /// The requests that have later responses, in their order.
    pub(crate) opened: Vec<String>,
    /// The requests to which nothing follows any more.
    ended: Vec<String>,
    by_request: BTreeMap<String, Vec<Value>>,
}

enum Message {
    Response(String, Response),
    /// Nothing follows to this request.
    End(String),
}

impl Client {
    pub(crate) fn new(api: GenApi, outer_timeout: Option<Duration>) -> Self {
        let (mailbox, inbox) = mpsc::unbounded_channel();
        Self {
            api,
            outer_timeout,
            inbox,
            mailbox,
            replies: Vec::new(),
            messages: Vec::new(),
            opened: Vec::new(),
            ended: Vec::new(),
            by_request: BTreeMap::new(),
        }
    }

    /// Sends the requests of a case one after another, with the pauses between them.
    pub(crate) async fn send_all(&mut self, requests: &[Map<String, Value>]) -> Result<(), String> {
        for given in requests {
            if given.contains_key("pause_ms") {
                let (_, pause) = only_entry(given)?;
                self.listen(Duration::from_millis(read(pause)?)).await?;
            } else {
                self.send(given).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, given: &Map<String, Value>) -> Result<(), String> {
        let id: Option<String> = optional(given, "request_id").unwrap_or_default();
        let given = Value::Object(given.clone());
        let reply = match (request(&given), self.outer_timeout) {
            (Ok(request), None) => self.api.execute(request).await,
            (Ok(request), Some(limit)) => self.api.execute_with_timeout(request, limit).await,
            // What is no request is for the engine to answer.
            (Err(_), _) => {
                let payload = given.to_string();
                self.api.execute_trusted_json(payload.as_bytes()).await
            }
        };
        let Reply {
            response, later, ..
        } = reply;
        self.replies.push(match response {
            Some(response) => json(response)?,
            None => "no_response".into(),
        });
        if let Some(mut later) = later {
            let id = id.unwrap_or_default();
            self.opened.push(id.clone());
            let mailbox = self.mailbox.clone();
            tokio::spawn(async move {
                while let Some(response) = later.next().await {
                    // At the end of the case nobody reads any more.
                    let _ = mailbox.send(Message::Response(id.clone(), response));
                }
                let _ = mailbox.send(Message::End(id));
            });
        }
        Ok(())
    }

    /// Receives for this long.
    pub(crate) async fn listen(&mut self, duration: Duration) -> Result<(), String> {
        self.listen_until(duration, |_| false).await.map(|_| ())
    }

    /// Receives until the client has seen enough, at most for this long; whether it has is answered.
    pub(crate) async fn listen_until(
        &mut self,
        at_most: Duration,
        enough: impl Fn(&Self) -> bool,
    ) -> Result<bool, String> {
        let deadline = Instant::now() + at_most;
        while !enough(self) {
            match timeout_at(deadline, self.inbox.recv()).await {
                Ok(Some(Message::Response(id, response))) => {
                    let response = json(response)?;
                    self.by_request
                        .entry(id)
                        .or_default()
                        .push(response.clone());
                    self.messages.push(response);
                }
                Ok(Some(Message::End(id))) => {
                    self.ended.push(id);
                }
                Ok(None) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The later responses to one request.
    pub(crate) fn responses_to(&self, request_id: &str) -> &[Value] {
        self.by_request.get(request_id).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing follows to this request.
    pub(crate) fn has_ended(&self, request_id: &str) -> bool {
        self.ended.iter().any(|id| id == request_id)
    }

    /// Whether there was a request with later responses, and nothing follows to any of them.
    pub(crate) fn all_ended(&self) -> bool {
        !self.opened.is_empty() && self.opened.len() == self.ended.len()
    }
}

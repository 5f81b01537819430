//! The endpoint: which channels there are, who may connect, and the handle on all that is connected.

use std::{fmt, future::Future, sync::Arc};

use actix_http::ws::CloseCode;
use actix_otp::{
    ArbiterPool, ChildSpec, DynamicSupervisorRef, DynamicSupervisorSpec, StartChildError, Strategy,
    SupervisorRef, SupervisorSpec,
};
use actix_web::web::ServiceConfig;
use futures_util::future::BoxFuture;

use super::{
    Channel, Connect, Denied, InvalidPush, InvalidTopic, Payload, RequestEvent, Session, http,
    long_poll::Polls, members::Members, refusals::Refusals, sockets::Sockets, topic::TopicPattern,
};
use crate::{
    GenApi,
    admission::Admission,
    clock::Clock,
    settings::{ChannelSettings, InvalidSettings},
};

/// Describes an endpoint for clients of the channel protocol; see the [module page](super).
#[must_use = "nobody can connect until it is started"]
pub struct ChannelEndpoint {
    api: GenApi,
    name: String,
    settings: Option<ChannelSettings>,
    connect: Option<ConnectCallback>,
    channels: Vec<(String, Channel)>,
}

type ConnectCallback =
    Box<dyn Fn(Connect) -> BoxFuture<'static, Result<Session, Denied>> + Send + Sync>;

/// What all parts of a running endpoint share.
pub(crate) struct Door {
    pub(super) settings: ChannelSettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) requests: RequestEvent,
    pub(super) members: Arc<Members>,
    pub(super) sockets: Arc<Sockets>,
    pub(super) polls: Arc<Polls>,
    /// The places of TCP connections, where the server counts those.
    pub(super) connection_places: Admission,
    /// The places of sockets, of both transports.
    pub(super) socket_places: Admission,
    pub(super) refusals: Refusals,
    pub(super) connect: Option<ConnectCallback>,
    /// Where the actors of the connections live, and those of their channels.
    pub(super) connections: DynamicSupervisorRef,
    pub(super) channels: DynamicSupervisorRef,
    pub(super) arbiters: ArbiterPool,
    kinds: Vec<(TopicPattern, Arc<Channel>)>,
    root: SupervisorRef,
    name: String,
}

impl ChannelEndpoint {
    /// An endpoint without channels, whose requests this engine answers.
    pub fn new(api: &GenApi) -> Self {
        Self {
            api: api.clone(),
            name: "channel".to_owned(),
            settings: None,
            connect: None,
            channels: Vec::new(),
        }
    }

    /// The name of its supervisor in the engine's tree, `channel` by default; each endpoint of an engine needs its own.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Settings of its own; the default is the section `channel` of the engine's settings.
    pub fn settings(mut self, settings: ChannelSettings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Verifies who connects. Without it everybody is let in as [`Session::anonymous`].
    ///
    /// A client that is denied gets HTTP 403, one whose callback panics 500, and one whose callback takes longer than
    /// [`join_timeout_ms`](ChannelSettings::join_timeout_ms) 503.
    pub fn on_connect<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Connect) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Session, Denied>> + Send + 'static,
    {
        self.connect = Some(Box::new(move |connect| Box::pin(callback(connect))));
        self
    }

    /// Serves a topic (`api:main`), or all with a prefix (`room:*`). Of several that match a topic the first counts.
    pub fn channel(mut self, topic: impl Into<String>, channel: Channel) -> Self {
        self.channels.push((topic.into(), channel));
        self
    }

    /// Starts the endpoint under the engine's supervision; clients can connect where it is
    /// [mounted](ChannelEndpointRef::mount).
    ///
    /// # Errors
    ///
    /// [`StartEndpointError`].
    pub async fn start(self) -> Result<ChannelEndpointRef, StartEndpointError> {
        let Self {
            api,
            name,
            settings,
            connect,
            channels,
        } = self;
        let settings = settings.unwrap_or_else(|| api.settings().channel.clone());
        settings.validate()?;
        let mut kinds = Vec::with_capacity(channels.len());
        for (topic, channel) in channels {
            kinds.push((TopicPattern::parse(&topic)?, Arc::new(channel)));
        }
        let pool = api.arbiters().clone();
        let (channels_spec, channels) = DynamicSupervisorSpec::new().build("channels");
        let sockets = DynamicSupervisorSpec::new().pool(pool.clone());
        let (sockets_spec, connections) = sockets.build("sockets");
        // Stopped in reverse order: the connections go first, so that no client hears of channels that end.
        let supervisor = SupervisorSpec::new(Strategy::OneForOne)
            .child(channels_spec)
            .child(sockets_spec);
        let root = api.root();
        root.start_child(ChildSpec::supervisor(name.as_str(), supervisor))
            .await?;
        let door = Door {
            requests: RequestEvent::new(&api, &settings),
            clock: api.clock(),
            members: Arc::default(),
            sockets: Arc::default(),
            polls: Arc::default(),
            connection_places: Admission::new(
                settings.max_connections,
                settings.max_connections_per_address,
            ),
            socket_places: Admission::new(
                settings.max_connections,
                settings.max_sockets_per_address,
            ),
            refusals: Refusals::new(api.clock()),
            settings,
            connect,
            connections,
            channels,
            arbiters: pool,
            kinds,
            root: root.clone(),
            name,
        };
        Ok(ChannelEndpointRef {
            door: Arc::new(door),
        })
    }
}

impl Door {
    /// The channel that serves a topic.
    pub(super) fn kind_of(&self, topic: &str) -> Option<&Arc<Channel>> {
        let mut kinds = self.kinds.iter();
        let found = kinds.find(|(pattern, _)| pattern.matches(topic));
        found.map(|(_, kind)| kind)
    }
}

/// The handle on a running endpoint: cheap to clone, and usable from any thread.
#[derive(Clone)]
pub struct ChannelEndpointRef {
    pub(super) door: Arc<Door>,
}

impl ChannelEndpointRef {
    /// Mounts the endpoint into an actix-web application: `PATH/websocket` and `PATH/longpoll`.
    ///
    /// The path is what the JavaScript client is given: `new Socket("/socket")`.
    ///
    /// What comes before the upgrade is up to the server: [`http_server`](Self::http_server) makes one that minds it. A
    /// client that stops reading is closed here, but keeps its TCP connection, and its place among those of its address,
    /// until it reads again or goes away: actix-web sets no time limit for a write.
    pub fn mount(&self, path: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let (endpoint, path) = (self.clone(), path.to_owned());
        move |app| http::mount(endpoint, &path, app)
    }

    /// Sends an event to all members of a topic, in one order for all; how many took it.
    ///
    /// It never waits. A client for which too much waits is closed.
    ///
    /// # Errors
    ///
    /// [`InvalidPush`]: topic or event is too long for a payload of bytes.
    pub fn broadcast(
        &self,
        topic: &str,
        event: &str,
        payload: impl Into<Payload>,
    ) -> Result<usize, InvalidPush> {
        let payload = payload.into();
        self.door.members.broadcast(topic, event, &payload, None)
    }

    /// Sends an event to one topic of the connections with this id ([`Session::with_socket_id`]); how many took it.
    ///
    /// # Errors
    ///
    /// [`InvalidPush`]: topic or event is too long for a payload of bytes, or the client's version has none.
    pub fn push(
        &self,
        socket_id: &str,
        topic: &str,
        event: &str,
        payload: impl Into<Payload>,
    ) -> Result<usize, InvalidPush> {
        let payload = payload.into();
        self.door.members.push(socket_id, topic, event, &payload)
    }

    /// Ends the connections with this id; how many those were. The clients connect anew, and are verified anew.
    pub fn disconnect(&self, socket_id: &str) -> usize {
        self.close(socket_id, CloseCode::Policy, "disconnected")
    }

    /// Ends the connections with this id for good: the clients do not come back by themselves. How many those were.
    pub fn dismiss(&self, socket_id: &str) -> usize {
        self.close(socket_id, CloseCode::Normal, "dismissed")
    }

    /// Tells all clients that the server goes away (1001). New ones may still come: to be called when the HTTP server no
    /// longer takes any. The stop of the engine does the same.
    pub fn disconnect_all(&self) {
        let sockets = &self.door.sockets;
        sockets.for_all(|socket| socket.outbox.close(CloseCode::Away, "shutdown"));
    }

    /// Stops the endpoint: clients are told that the server goes away (1001), and new ones get HTTP 503. Its name can be
    /// used again.
    pub async fn stop(&self) {
        let (root, name) = (&self.door.root, self.door.name.as_str());
        // Either fails only where the engine or the endpoint has stopped already.
        let _ = root.terminate_child(name).await;
        let _ = root.delete_child(name).await;
    }

    /// How much is connected.
    #[must_use]
    pub fn counts(&self) -> ChannelCounts {
        ChannelCounts {
            sockets: self.door.sockets.count(),
            channels: self.door.channels.count(),
            topics: self.door.members.topics(),
        }
    }

    /// How many members a topic has.
    #[must_use]
    pub fn members(&self, topic: &str) -> usize {
        self.door.members.count(topic)
    }

    /// The supervisors of the connections and of their channels.
    #[must_use]
    pub fn supervisors(&self) -> [&DynamicSupervisorRef; 2] {
        [&self.door.connections, &self.door.channels]
    }

    fn close(&self, socket_id: &str, code: CloseCode, reason: &str) -> usize {
        let sockets = &self.door.sockets;
        sockets.each(socket_id, |socket| socket.outbox.close(code, reason))
    }
}

/// How much is connected to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelCounts {
    /// Connections.
    pub sockets: usize,
    /// Channels of all connections.
    pub channels: usize,
    /// Topics with at least one member.
    pub topics: usize,
}

/// Why an endpoint did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartEndpointError {
    /// The settings make no sense.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// A channel has an impossible topic.
    #[error(transparent)]
    Topic(#[from] InvalidTopic),
    /// Its actors did not start: the engine has stopped, or another endpoint has the same name.
    #[error("the endpoint's actors did not start: {0}")]
    Actors(#[from] StartChildError),
}

impl fmt::Debug for ChannelEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelEndpoint")
            .field("name", &self.name)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChannelEndpointRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelEndpointRef")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

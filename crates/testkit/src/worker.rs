//! Drives one worker of a [`FakeGateway`]: the callbacks that Envoy would make, in their order.

#![allow(clippy::panic, reason = "this is the assertion of a test")]

use std::mem;
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::filter::{EndStream, StreamFilter};
use gatelens_core::host::CalloutAnswer;
use gatelens_core::lifecycle::{Plugin, Registry};
use gatelens_model::Message;

use crate::fake::{Attribute, FakeGateway, FakeHost, FakeStream, Sent};

/// A worker with its plugin in force.
pub struct Worker {
    /// The process that it belongs to.
    pub gateway: FakeGateway,
    /// Its view of the gateway.
    pub host: FakeHost,
    /// The plugin in force.
    pub plugin: Plugin,
    /// What survives a configuration update.
    pub registry: Rc<Registry>,
}

/// A body as it passes: its chunks, and whether its end is seen with the last one.
#[derive(Clone, Debug)]
pub struct Body(pub Vec<Vec<u8>>, pub EndStream);

impl Worker {
    /// Starts with this plugin configuration.
    ///
    /// # Panics
    /// When the configuration is refused.
    pub fn start(gateway: &FakeGateway, configuration: &str) -> Self {
        let registry = Rc::<Registry>::default();
        let (host, mut plugin) = (gateway.worker(configuration), Plugin::new(Rc::clone(&registry)));
        assert!(plugin.configure(&host), "{:?}", host.log_lines());
        Self { gateway: gateway.clone(), host, plugin, registry }
    }

    /// Reports the end of a request to the access logger.
    pub fn finish(&self, stream: FakeStream) {
        self.host.finish(stream);
        self.plugin.log(&self.host);
    }

    /// The HTTP filter of a new stream.
    pub fn begin(&self, stream: &FakeStream) -> StreamFilter {
        self.host.finish(stream.clone());
        StreamFilter::new(self.plugin.active())
    }

    /// Passes one message through the filter: headers, then the chunks of its body.
    pub fn pass(&self, filter: &mut StreamFilter, message: Message, body: &Body) {
        let Body(chunks, end) = body;
        let ended = if chunks.is_empty() { *end } else { EndStream::No };
        filter.headers(&self.host, message, ended);
        for (index, chunk) in chunks.iter().enumerate() {
            let last = index + 1 == chunks.len();
            self.host.pass(chunk.clone());
            filter.body(&self.host, message, chunk.len(), if last { *end } else { EndStream::No });
        }
    }

    /// A whole stream through the filter, from its first header to its log.
    pub fn stream(&self, stream: FakeStream, request: &Body, response: &Body) {
        let stream = stream
            .int(Attribute::RequestSize, request.bytes())
            .int(Attribute::ResponseSize, response.bytes());
        let mut filter = self.begin(&stream);
        self.pass(&mut filter, Message::Request, request);
        self.pass(&mut filter, Message::Response, response);
        filter.log(&self.host);
    }

    /// Ticks, and answers all that is sent with this status until nothing more comes; `None` stands for a callout that
    /// timed out.
    pub fn tick_answering(&self, status: Option<u16>) -> Vec<Sent> {
        self.plugin.tick(&self.host);
        answer_all(&self.host, &self.plugin, status)
    }

    /// Answers all that was sent with this status until nothing more comes.
    pub fn answer_all(&self, status: Option<u16>) -> Vec<Sent> {
        answer_all(&self.host, &self.plugin, status)
    }

    /// Lets this much time pass, ticks and answers 200.
    pub fn deliver_after(&self, time: Duration) -> Vec<Sent> {
        self.gateway.wait(time);
        self.tick_answering(Some(200))
    }

    /// Ends the root context without another one in its place. Its last exports are answered with this status.
    pub fn stop(mut self, status: Option<u16>) -> Vec<Sent> {
        let _ = self.plugin.done(&self.host);
        let sent = self.answer_all(status);
        self.plugin.gone(&self.host);
        sent
    }

    /// Replaces the plugin, as a configuration update does. The old one ends after its last exports are answered with
    /// this status.
    ///
    /// # Panics
    /// When the configuration is refused.
    pub fn replace(&mut self, configuration: &str, status: Option<u16>) -> Vec<Sent> {
        let mut new = Plugin::new(Rc::clone(&self.registry));
        self.host.set_configuration(configuration);
        assert!(new.configure(&self.host), "{:?}", self.host.log_lines());
        let mut old = mem::replace(&mut self.plugin, new);
        let _ = old.done(&self.host);
        let sent = answer_all(&self.host, &old, status);
        old.gone(&self.host);
        sent
    }
}

impl Body {
    /// No body: the headers end the message.
    pub fn none() -> Self {
        Self(Vec::new(), EndStream::Yes)
    }

    /// In one chunk that ends the message.
    pub fn whole(text: &str) -> Self {
        Self(vec![text.into()], EndStream::Yes)
    }

    fn bytes(&self) -> i64 {
        self.0.iter().map(|chunk| chunk.len() as i64).sum()
    }
}

fn answer_all(host: &FakeHost, plugin: &Plugin, status: Option<u16>) -> Vec<Sent> {
    let mut all = Vec::new();
    loop {
        let sent = host.take_sent();
        if sent.is_empty() {
            return all;
        }
        for request in &sent {
            host.answer_with(CalloutAnswer { status, ..CalloutAnswer::default() });
            let _ = plugin.answered(host, request.id);
        }
        all.extend(sent);
    }
}

//! Orders to forget, which are given to one replica and reach the others.
//!
//! An order lies on the server with what it selects. Each replica carries it out in its own files, before it tells anything else,
//! and says so. Until the last one that runs has, a replica may take in again what another one told before: so each carries it out once
//! more then. The order goes when all have carried it out that ran within the last day, or after a day.

use crate::clickhouse::ClickHouse;
use crate::store::{Refused, Selection, StoreError, Writers};
use std::collections::HashMap;

/// The orders that a replica has carried out and that are not gone yet, by their ID.
#[derive(Default)]
pub(super) struct Orders(HashMap<String, Followed>);

struct Followed {
    selection: Selection,
    stage: Stage,
}

/// How far a replica is with an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Others may still tell what it is about.
    Once,
    /// All that run have carried it out.
    Again,
}

impl Orders {
    /// Carries out what was ordered since the last look.
    pub(super) async fn follow(
        &mut self,
        server: &ClickHouse,
        writers: &Writers,
        replica: &str,
    ) -> Result<(), Refused> {
        let orders = server.orders().await.map_err(StoreError::from)?;
        // Not in the look in which all have carried it out, so that others see that, too.
        let is_over = |id: &String| self.0.get(id).is_some_and(|followed| followed.stage == Stage::Again);
        let over: Vec<String> =
            orders.iter().map(|order| &order.id).filter(|id| is_over(id)).cloned().collect();
        for order in &orders {
            if self.0.contains_key(&order.id) {
                continue;
            }
            if !server.has_carried_out(&order.id, replica).await.map_err(StoreError::from)? {
                writers.forget_here(&order.selection).await?;
                server.carried_out(&order.id, replica).await.map_err(StoreError::from)?;
                tracing::info!("an order to forget, which all replicas get, is carried out");
            }
            let followed = Followed { selection: order.selection.clone(), stage: Stage::Once };
            self.0.insert(order.id.clone(), followed);
        }
        for (id, followed) in &mut self.0 {
            let is_gone = !orders.iter().any(|order| order.id == *id);
            if followed.stage == Stage::Once
                && (is_gone || server.is_carried_out_by_running(id).await.map_err(StoreError::from)?)
            {
                writers.forget_here(&followed.selection).await?;
                followed.stage = Stage::Again;
            }
        }
        for id in &over {
            if server.is_carried_out(id).await.map_err(StoreError::from)? {
                server.remove_order(id).await?;
            }
        }
        self.0.retain(|id, _| orders.iter().any(|order| order.id == *id));
        Ok(())
    }
}

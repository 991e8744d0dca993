mod counting;
mod odd_bytes;
mod page;
mod stack;
mod updates;

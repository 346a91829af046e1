"use strict";

const room = JSON.parse(document.getElementById("room-name").textContent);
const log = document.getElementById("log");
const form = document.getElementById("say");
const input = document.getElementById("message");
const state = document.getElementById("state");

const chat = openSocket(
  `/ws/chat/${room}/`,
  (content) => {
    const line = document.createElement("li");
    line.textContent = content.message;
    log.append(line);
    line.scrollIntoView({ block: "nearest" });
  },
  (text) => {
    state.textContent = text;
    form.querySelector("button").disabled = text !== "";
  },
);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (chat.send({ message: input.value })) input.value = "";
});

"use strict";

document.getElementById("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  location.href = `/chat/${document.getElementById("room").value}/`;
});

openSocket("/ws/visits/", (content) => {
  document.getElementById("visits").textContent = content.visits_today;
});

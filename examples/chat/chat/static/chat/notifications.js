"use strict";

openSocket("/ws/notifications/", (content) => {
  const status = document.querySelector(`[data-order="${content.order}"]`);
  if (status && content.status) status.textContent = content.status;
  const note = document.createElement("p");
  note.textContent = content.text;
  document.getElementById("notifications").append(note);
  setTimeout(() => note.remove(), 10000);
});

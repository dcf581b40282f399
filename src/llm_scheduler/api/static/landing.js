"use strict";
const line = "curl " + "'" + location.origin + "/api/v1/tasks?wait=30' \\\n  -H \"Authorization: Bearer $LLMS_API_KEY\" \\\n"
  + "  -H 'Content-Type: application/json' \\\n  -d '{\"model\": \"MODEL\", \"input\": \"Say hello.\"}'";
document.getElementById("line").textContent = line;
document.getElementById("copy").onclick = (event) =>
  navigator.clipboard.writeText(line).then(() => { event.target.textContent = "Copied"; });

export { DocumentList } from "docfleet-console/list.js";
export { Uploads } from "docfleet-console/uploads.js";
export { Viewer } from "docfleet-console/viewer.js";

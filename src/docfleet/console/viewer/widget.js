import * as widgets from "docfleet-console";

// One of the package's parts, in NiceGUI's frame: it draws into this element itself, Vue never touches what is inside.
export default {
  template: '<div v-once ref="place"></div>',
  props: { kind: String, options: Object },
  mounted() {
    this.widget = new widgets[this.kind](this.$el, this.options, (name, detail) => this.$emit(name, detail));
  },
  unmounted() {
    this.widget.destroy();
  },
  watch: {
    options: { deep: true, handler(options) { this.widget.update?.(options); } },
  },
};

/** A template is wrong, or failed on an entry. The text begins with the line; whoever knows the template's name puts it before. */
export class TemplateError extends Error {}

import { useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Card, Form, Input, Segmented, Select, Space, Tag, Typography } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { patchMe, postMePassword, type OwnUserShown } from '../../api/gen';
import { useMe, type Me } from '../../api/me';
import { problemOf } from '../../api/problem';
import { renew } from '../../api/session';
import { EVERY_S, useRefreshControl } from '../../app/refresh';
import { useMode, type Mode } from '../../app/theme';
import { Loaded, Moment } from '../../components/basics';
import { LANGUAGES, setLanguage, type Language } from '../../locales';
import { Facts, FormProblem, Section, showFieldErrors, useChange } from './parts';
import { SecondFactor } from './SecondFactor';
import { Sessions } from './Sessions';

function Who({ me }: { me: Me }) {
  const { t } = useTranslation('settings');
  const [isOpen, setOpen] = useState(false);
  const { user } = me;
  return (
    <Card size="small" title={t('profile.who')}>
      <Facts
        rows={[
          ...(user ? [[t('profile.username'), <strong key="u">{user.username}</strong>] as [string, React.ReactNode]] : []),
          [t('profile.by'), me.key ? t('profile.byKey', { name: me.key.name }) : t(`profile.kind.${me.kind}`)],
          [t('profile.tenant'), me.tenant],
          [t('profile.role'), <Tag key="r" color="blue">{t(`role.${me.role}`)}</Tag>],
          ...(me.tenants.length > 1
            ? [[t('profile.tenants'), <Space key="t" wrap size={4}>{me.tenants.map(({ name, role }) => <Tag key={name}>{name} · {t(`role.${role}`)}</Tag>)}</Space>] as [string, React.ReactNode]]
            : []),
          ...(user ? [[t('profile.since'), <Moment key="s" at={user.created_at} />] as [string, React.ReactNode]] : []),
          [
            t('profile.permissions'),
            <div key="p">
              <Button type="link" size="small" style={{ padding: 0 }} aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>{t('profile.permissionCount', { count: me.permissions.length })}</Button>
              {isOpen && <div style={{ display: 'flex', flexWrap: 'wrap', gap: 4, marginTop: 4 }}>{me.permissions.map((one) => <Tag key={one} className="mono">{one}</Tag>)}</div>}
            </div>,
          ],
        ]}
      />
    </Card>
  );
}

type Names = { display_name: string; email: string };

function NameForm({ user }: { user: OwnUserShown }) {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const [form] = Form.useForm<Names>();
  const [isTold, setTold] = useState(false);
  const save = useChange(({ display_name, email }: Names) => body(patchMe({ body: { display_name: display_name?.trim() || null, email: email?.trim() || null }, throwOnError: true })), { told: () => words('action.saved'), isQuiet: true });
  useEffect(() => form.setFieldsValue({ display_name: user.display_name ?? '', email: user.email ?? '' }), [form, user.display_name, user.email]);
  return (
    <Card size="small" title={t('profile.names')}>
      <FormProblem error={save.error} isTold={isTold} />
      <Form form={form} layout="vertical" style={{ maxWidth: 420 }} onFinish={(fields: Names) => save.mutate(fields, { onError: (error) => setTold(showFieldErrors(form, error, ['display_name', 'email'])) })}>
        <Form.Item name="display_name" label={t('profile.displayName')} rules={[{ max: 100 }]}><Input autoComplete="name" /></Form.Item>
        <Form.Item name="email" label={t('profile.email')} rules={[{ type: 'email', message: t('profile.badEmail') }]}><Input type="email" autoComplete="email" /></Form.Item>
        <Button type="primary" htmlType="submit" loading={save.isPending}>{words('action.save')}</Button>
      </Form>
    </Card>
  );
}

type Passwords = { current_password: string; new_password: string; again: string };

function PasswordForm({ user }: { user: OwnUserShown }) {
  const { t } = useTranslation('settings');
  const [form] = Form.useForm<Passwords>();
  const queries = useQueryClient();
  const change = useChange(({ current_password, new_password }: Passwords) => body(postMePassword({ body: { current_password, new_password }, throwOnError: true })), {
    told: ({ ended_sessions }) => t('profile.passwordChanged', { count: ended_sessions }),
    // The token of before says still that the password must be changed.
    onDone: () => void renew().then(() => queries.invalidateQueries()),
    isQuiet: true,
  });
  const [isTold, setTold] = useState(false);
  const refuse = (error: unknown) => {
    const problem = problemOf(error);
    if (problem.code === 'wrong_credentials') form.setFields([{ name: 'current_password', errors: [t('profile.wrongPassword')] }]);
    else if (problem.code === 'weak_password') form.setFields([{ name: 'new_password', errors: [Object.values(problem.byField)[0] ?? problem.message] }]);
    else return setTold(showFieldErrors(form, error, ['current_password', 'new_password']));
    setTold(true);
  };
  const required = { required: true, message: t('required') };
  return (
    <Card size="small" title={t('profile.password')}>
      <FormProblem error={change.error} isTold={isTold} />
      <Form form={form} layout="vertical" requiredMark={false} style={{ maxWidth: 420 }} onFinish={(fields: Passwords) => change.mutate(fields, { onError: refuse, onSuccess: () => form.resetFields() })}>
        <input type="text" name="username" autoComplete="username" value={user.username} readOnly hidden />
        <Form.Item name="current_password" label={t('profile.currentPassword')} rules={[required]}><Input.Password autoComplete="current-password" /></Form.Item>
        <Form.Item name="new_password" label={t('profile.newPassword')} extra={t('profile.passwordRule')} rules={[required]}><Input.Password autoComplete="new-password" /></Form.Item>
        <Form.Item
          name="again"
          label={t('profile.again')}
          dependencies={['new_password']}
          rules={[required, ({ getFieldValue }) => ({ validator: async (_, value) => { if (value && value !== getFieldValue('new_password')) throw new Error(t('profile.differs')); } })]}
        >
          <Input.Password autoComplete="new-password" />
        </Form.Item>
        <Button type="primary" htmlType="submit" loading={change.isPending}>{t('profile.changePassword')}</Button>
      </Form>
    </Card>
  );
}

const MODES: Mode[] = ['system', 'light', 'dark'];

function Preferences() {
  const { t } = useTranslation('settings');
  const { t: words, i18n } = useTranslation();
  const { mode, setMode } = useMode();
  const { everyS, setEveryS } = useRefreshControl();
  return (
    <Card size="small" title={t('profile.preferences')}>
      <Typography.Paragraph type="secondary">{t('profile.preferencesHint')}</Typography.Paragraph>
      <Facts
        rows={[
          [words('language'), <Segmented key="l" aria-label={words('language')} value={i18n.language as Language} onChange={(language) => void setLanguage(language)} options={LANGUAGES} />],
          [words('theme.label'), <Segmented key="t" aria-label={words('theme.label')} value={mode} onChange={setMode} options={MODES.map((value) => ({ value, label: words(`theme.${value}`) }))} />],
          [words('refresh.label'), <Select key="r" aria-label={words('refresh.label')} style={{ width: 150 }} value={everyS} onChange={setEveryS} options={EVERY_S.map((value) => ({ value, label: words('refresh.every', { seconds: value }) }))} />],
        ]}
      />
    </Card>
  );
}

export default function Profile() {
  const { t } = useTranslation('settings');
  const query = useMe();
  return (
    <Section title={t('section.profile')} sub={t('profile.sub')}>
      <Loaded query={query}>
        {(me) => {
          const own = me.kind === 'user' ? me.user : null;
          return (
            <>
              {own?.must_change_password && <Alert type="warning" showIcon role="alert" title={t('profile.mustChange')} description={t('profile.mustChangeHint')} />}
              {own?.must_change_password && <PasswordForm user={own} />}
              <Who me={me} />
              {own && <NameForm user={own} />}
              {own && !own.must_change_password && (own.has_password ? <PasswordForm user={own} /> : <Alert type="info" showIcon title={t('profile.elsewhere')} />)}
              {own?.has_password && <SecondFactor user={own} />}
              {own && <Sessions />}
              {!own && <Alert type="info" showIcon title={t('profile.notSignedIn')} description={t('profile.notSignedInHint')} />}
              <Preferences />
            </>
          );
        }}
      </Loaded>
    </Section>
  );
}
